"""incumbent: nothing worse than what is deployed now, on the same rows."""

from dataclasses import dataclass
from typing import ClassVar

from fdpipe.artifacts import Aspect, CheckResult, Outcome
from fdpipe.gate.loss import Drop, checked, result, worst
from fdpipe.interfaces import Evidence


@dataclass(frozen=True, kw_only=True)
class Incumbent:
    """No metric may lose more than `max_drop` against the release now deployed for this target."""

    aspect: ClassVar[Aspect] = Aspect.QUALITY

    max_drop: float = 0.0
    drop: Drop = Drop.ABSOLUTE

    def __post_init__(self) -> None:
        """A limit that can be compared with."""
        checked(self.max_drop)

    def judge(self, evidence: Evidence) -> CheckResult:
        """The metric that lost most decides; a first deployment passes."""
        name = evidence.candidate.name
        if evidence.incumbent is None:
            return CheckResult(check="incumbent", candidate=name, outcome=Outcome.PASS, reason="nothing is deployed yet")
        loss = worst(evidence.incumbent.quality, evidence.evaluation.quality, evidence.directions, self.drop)
        release = (evidence.incumbent_release or "unknown")[:12]
        return result("incumbent", name, loss, self.max_drop, self.drop, f", against the deployed release {release}")
