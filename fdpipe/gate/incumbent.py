"""incumbent: nothing worse than what is deployed now, on the same rows."""

from dataclasses import dataclass
from typing import ClassVar

from fdpipe.artifacts import Aspect, CheckResult, Outcome
from fdpipe.evidence import Evidence
from fdpipe.gate._every_metric import EveryMetric
from fdpipe.gate.loss import Drop, Limit


@dataclass(frozen=True, kw_only=True)
class Incumbent:
    """No metric may lose more than `max_drop` against the release now deployed for this target, with confidence 1 - `alpha`
    (non-inferiority).

    No number of rows proves that nothing at all was lost: with a limit of 0, only what is surely better passes.
    """

    aspect: ClassVar[Aspect] = Aspect.QUALITY

    max_drop: float = 0.01
    drop: Drop = Drop.ABSOLUTE
    alpha: float = 0.05

    def __post_init__(self) -> None:
        """A limit that can be compared with, and a probability."""
        self._limit()

    def judge(self, evidence: Evidence) -> CheckResult:
        """The metric that lost most decides; a first deployment passes."""
        name = evidence.candidate.name
        if evidence.incumbent is None:
            return CheckResult(check="incumbent", candidate=name, outcome=Outcome.PASS, reason="nothing is deployed yet")
        release = (evidence.incumbent_release or "unknown")[:12]
        suffix = f", against the deployed release {release}"
        every = EveryMetric(check="incumbent", limit=self._limit())
        return every.result(evidence, evidence.beside_incumbent, evidence.incumbent.quality, suffix)

    def _limit(self) -> Limit:
        return Limit(max_drop=self.max_drop, drop=self.drop, alpha=self.alpha)
