"""batch_invariance: a row's answer may not depend on the rows that happen to be computed with it."""

from dataclasses import dataclass
from typing import ClassVar

from fdpipe.artifacts import Aspect, CheckResult, Outcome
from fdpipe.interfaces import Evidence


@dataclass(frozen=True, kw_only=True)
class BatchInvariance:
    """No answer may change between a row alone, in batches, and beside an outlier.

    A service that batches requests would otherwise let one caller's rows change another's answers.
    """

    aspect: ClassVar[Aspect] = Aspect.STABILITY

    def judge(self, evidence: Evidence) -> CheckResult:
        """Every row that was compared counts."""
        found = evidence.evaluation.invariance
        reason = f"{found.changed} of {found.rows} answers change with the batch"
        if found.changed:
            reason += f", most {found.worst_setting}"
        return CheckResult(
            check="batch_invariance",
            candidate=evidence.candidate.name,
            outcome=Outcome.PASS if found.changed == 0 and found.rows > 0 else Outcome.FAIL,
            reason=reason,
            figure=float(found.changed),
            limit=0.0,
            unit="answers",
        )
