"""speed: surely faster than the converted model as it is, or the simpler of the two is kept."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from fdpipe.artifacts import Aspect, CheckResult, Finding, Health, Interval, Measured, Outcome, Pace, Timing
from fdpipe.evidence import Evidence

NARROW = 0.02
"""A ratio that is known to within this is known: what then lies on both sides of the limit is as fast as the limit says, and
the simpler one wins."""

UNIT = "of the baseline's time"
OVERALL = "over all sizes"


@dataclass(frozen=True, kw_only=True)
class Speed:
    """The whole interval of the time ratio, over all batch sizes, must lie below 1/`min_speedup`; and at no batch size may
    even its lower end be above `slower_above`.

    What surely is not so fast fails; so does what is known well enough to say that it is as fast as the limit. Where the
    machine was too noisy to tell, nothing is concluded. The baseline is exempt, unless `require_improvement`: then it fails,
    and nothing ships that is not faster.
    """

    aspect: ClassVar[Aspect] = Aspect.SPEED

    min_speedup: float = 1.0
    slower_above: float = 1.03
    require_improvement: bool = False

    def __post_init__(self) -> None:
        """Ratios of times."""
        if not (self.min_speedup >= 1 and math.isfinite(self.min_speedup)):
            raise ValueError(f"min_speedup is a ratio of times and must be at least 1, not {self.min_speedup}")
        if not self.slower_above > 0:
            raise ValueError(f"slower_above is a ratio of times and must be above 0, not {self.slower_above}")

    def judge(self, evidence: Evidence) -> CheckResult:
        """The first finding decides: the size at which it is surely slower, or the ratio over all sizes."""
        if evidence.is_baseline:
            return self._baseline(evidence.candidate.name)
        name, measured = evidence.candidate.name, evidence.measured
        found, overall = measured.of(name), measured.overall(name)
        timings = found.timings if found else ()
        ratios = [timing.ratio for timing in timings if timing.ratio is not None]
        if overall is None or not all(map(_finite, [overall, *ratios])):
            why = f": {found.left}" if found and found.left else ""
            return _result(name, Outcome.FAIL, f"its speed was not measured{why}")
        doubt = _doubt(measured.health)
        whole = self._overall(overall, timings, doubt)
        sizes = sorted((self._size(one, doubt) for one in timings), key=lambda one: (one.outcome is Outcome.PASS, -_low(one)))
        first = next((one for one in sizes if one.outcome is not Outcome.PASS), whole)
        result = _result(name, first.outcome, self._reason(first, measured, found.left if found else ""))
        rest = [one for one in (whole, *sizes) if one is not first]
        return replace(result, figure=first.figure, limit=first.limit, unit=UNIT, findings=(first, *rest))

    def _baseline(self, name: str) -> CheckResult:
        if self.require_improvement:
            return _result(name, Outcome.FAIL, "is the baseline itself, and gate.require_improvement wants something faster")
        return _result(name, Outcome.PASS, "is the baseline itself")

    def _overall(self, ratio: Interval, timings: Sequence[Timing], doubt: float) -> Finding:
        limit = 1 / self.min_speedup
        outcome = Outcome.INCONCLUSIVE
        if ratio.high * doubt < limit:
            outcome = Outcome.PASS
        elif ratio.low / doubt >= limit or self._is_known(ratio, timings, doubt):
            outcome = Outcome.FAIL
        return _finding(OVERALL, outcome, ratio, limit)

    def _is_known(self, ratio: Interval, timings: Sequence[Timing], doubt: float) -> bool:
        """Whether what lies on both sides of the limit is known well enough to be as fast as the limit says."""
        settled = self.min_speedup == 1 and all(timing.pace is not Pace.TOO_NOISY for timing in timings)
        return doubt == 1 and (settled or ratio.high <= ratio.low * (1 + NARROW))

    def _size(self, timing: Timing, doubt: float) -> Finding:
        ratio = timing.ratio or Interval(low=math.nan, middle=math.nan, high=math.nan)
        slower = ratio.low / doubt > self.slower_above
        return _finding(_named(timing), Outcome.FAIL if slower else Outcome.PASS, ratio, self.slower_above)

    def _reason(self, first: Finding, measured: Measured, left: str) -> str:
        takes = f"takes {first.figure:.3f} ({first.low:.3f}–{first.high:.3f}) {UNIT} {first.name}"
        if first.name != OVERALL:
            return f"{takes}, at most {first.limit:g} is allowed"
        asked = f"{takes}, it must surely be below {first.limit:.4g}"
        if first.outcome is Outcome.INCONCLUSIVE:
            told = f"{asked}: {_why_inconclusive(measured.health)}"
            return told + (f"; it left early: {left}" if left else "")
        return asked if first.outcome is Outcome.PASS else f"{asked}: the simpler one is kept"


def _result(name: str, outcome: Outcome, reason: str) -> CheckResult:
    return CheckResult(check="speed", candidate=name, outcome=outcome, reason=reason)


def _finding(name: str, outcome: Outcome, ratio: Interval, limit: float) -> Finding:
    return Finding(
        name=name, outcome=outcome, figure=ratio.middle, low=ratio.low, high=ratio.high, limit=limit, unit=UNIT
    )  # fmt: skip


def _named(timing: Timing) -> str:
    return f"at batch {timing.batch}" + (f" of length {timing.length}" if timing.length is not None else "")


def _finite(ratio: Interval) -> bool:
    return all(map(math.isfinite, (ratio.low, ratio.middle, ratio.high)))


def _low(one: Finding) -> float:
    return one.low or 0.0


def _doubt(health: Health | None) -> float:
    """By how much the baseline surely differs from itself in a second process: no ratio is known better than that. 1 where
    it does not, or where nobody asked; where it was asked and is not known, it may be anything, and nothing is concluded."""
    if health and health.noise_unknown:
        return math.inf
    noise = health.noise if health else None
    return 1.0 if noise is None or not _finite(noise) else max(1.0, noise.low, 1 / noise.high if noise.high > 0 else math.inf)


def _why_inconclusive(health: Health | None) -> str:
    if health and health.noise_unknown:
        return f"by how much this machine's noise moves it is not known ({health.noise_unknown}), measure again"
    noise = health.noise if health else None
    own = f" (the baseline takes {noise.low:.3f}–{noise.high:.3f} of its own time)" if noise else ""
    return f"too noisy to tell{own}, measure longer (benchmark.seconds) or where it is quieter"
