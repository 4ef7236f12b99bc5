"""quality: what conversion and optimization together may cost, against the original model."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from fdpipe.artifacts import Aspect, CheckResult
from fdpipe.evidence import Evidence
from fdpipe.gate._every_metric import EveryMetric
from fdpipe.gate.loss import AGREEMENT, Drop, Limit
from fdpipe.interfaces import Metric, Rowwise


@dataclass(frozen=True, kw_only=True)
class Quality:
    """No metric may lose more than `max_drop` against the original, with confidence 1 - `alpha` (non-inferiority); a negative
    one demands a gain of that size.

    What is surely better by more than `implausible_gain` is anomalous: in the unit of a figure between -1 and 1, and of any
    other as a fraction of it; None lets any gain pass.
    """

    aspect: ClassVar[Aspect] = Aspect.QUALITY

    max_drop: float = 0.01
    drop: Drop = Drop.ABSOLUTE
    alpha: float = 0.05
    implausible_gain: float | None = 0.05

    def __post_init__(self) -> None:
        """A limit that can be compared with, a probability, and a gain."""
        self._limit()
        if self.implausible_gain is not None and not self.implausible_gain > 0:
            raise ValueError(f"implausible_gain must be above 0, or null, not {self.implausible_gain}")

    def judge(self, evidence: Evidence) -> CheckResult:
        """The metric that lost most decides."""
        every = EveryMetric(check="quality", limit=self._limit(), implausible=self.implausible_gain)
        return every.result(evidence, evidence.beside_original, evidence.evaluation.reference)

    def out_of_reach(self, reference: Mapping[str, float | None], metrics: Mapping[str, Metric]) -> str:
        """Where a gain is demanded: the first metric that cannot gain as much, by its own bounds."""
        for name, before in reference.items():
            best = _best(name, metrics)
            if before is None or best is None or (self.drop is Drop.RELATIVE and before == 0):
                continue
            most = abs(best - before) / (abs(before) if self.drop is Drop.RELATIVE else 1.0)
            if most < -self.max_drop:
                wanted = f"{-self.max_drop:.2%}" if self.drop is Drop.RELATIVE else f"{-self.max_drop:.4f}"
                return f"{name} is {before:.4f} and at best {best:.4f}, so that no candidate can gain {wanted}"
        return ""

    def _limit(self) -> Limit:
        return Limit(max_drop=self.max_drop, drop=self.drop, alpha=self.alpha)


def _best(name: str, metrics: Mapping[str, Metric]) -> float | None:
    """The best figure that there can be, where that is known: of a mean over rows, what a row can have."""
    metric = metrics.get(name)
    if metric is None:
        return 1.0 if name == AGREEMENT else None
    if not isinstance(metric, Rowwise):
        return None
    best = metric.bounds[1 if metric.higher_is_better else 0]
    return best if math.isfinite(best) else None
