"""quality: what conversion and optimization together may cost, against the original model."""

from dataclasses import dataclass
from typing import ClassVar

from fdpipe.artifacts import Aspect, CheckResult
from fdpipe.gate.loss import Drop, checked, result, worst
from fdpipe.interfaces import Evidence


@dataclass(frozen=True, kw_only=True)
class Quality:
    """No metric may lose more than `max_drop` against the original; a negative one demands a gain of that size."""

    aspect: ClassVar[Aspect] = Aspect.QUALITY

    max_drop: float = 0.01
    drop: Drop = Drop.ABSOLUTE

    def __post_init__(self) -> None:
        """A limit that can be compared with."""
        checked(self.max_drop)

    def judge(self, evidence: Evidence) -> CheckResult:
        """The metric that lost most decides."""
        found = evidence.evaluation
        loss = worst(found.reference, found.quality, evidence.directions, self.drop)
        return result("quality", evidence.candidate.name, loss, self.max_drop, self.drop)
