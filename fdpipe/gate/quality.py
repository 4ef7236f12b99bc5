"""quality: what conversion and optimization together may cost, against the original model."""

from dataclasses import dataclass
from typing import ClassVar

from fdpipe.artifacts import Aspect, CheckResult
from fdpipe.evidence import Evidence
from fdpipe.gate._every_metric import EveryMetric
from fdpipe.gate.loss import Drop, Limit


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

    def _limit(self) -> Limit:
        return Limit(max_drop=self.max_drop, drop=self.drop, alpha=self.alpha)
