"""speed: not slower than the converted model as it is."""

import math
from dataclasses import dataclass
from typing import ClassVar

from fdpipe.artifacts import Aspect, CheckResult, Interval, Outcome, Timing
from fdpipe.interfaces import Evidence


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Slower is where even the lower end of the time ratio's interval is above `slower_above`, at any batch size."""

    aspect: ClassVar[Aspect] = Aspect.SPEED

    slower_above: float = 1.03

    def __post_init__(self) -> None:
        """A ratio of times."""
        if self.slower_above <= 0:
            raise ValueError("slower_above is a ratio of times and must be above 0")

    def judge(self, evidence: Evidence) -> CheckResult:
        """The batch size that is slowest beside the baseline decides; the baseline itself is exempt."""
        name = evidence.candidate.name
        if evidence.is_baseline:
            return CheckResult(check="speed", candidate=name, outcome=Outcome.PASS, reason="is the baseline itself")
        measurement = evidence.measured.of(name)
        ratios = [(timing, timing.ratio) for timing in measurement.timings] if measurement else []
        known = [(timing, ratio) for timing, ratio in ratios if ratio is not None and math.isfinite(ratio.low)]
        if not known or len(known) < len(ratios):
            return CheckResult(check="speed", candidate=name, outcome=Outcome.FAIL, reason="its speed was not measured")
        return self._decide(name, *max(known, key=lambda pair: pair[1].low))

    def _decide(self, name: str, timing: Timing, ratio: Interval) -> CheckResult:
        interval = f"{ratio.middle:.3f} ({ratio.low:.3f}–{ratio.high:.3f})"
        return CheckResult(
            check="speed",
            candidate=name,
            outcome=Outcome.FAIL if ratio.low > self.slower_above else Outcome.PASS,
            reason=f"takes {interval} of the baseline's time at batch {timing.batch}, at most {self.slower_above:g} is allowed",
            figure=ratio.low,
            limit=self.slower_above,
            unit="of the baseline's time",
        )
