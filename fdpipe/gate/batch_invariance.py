"""batch_invariance: a row's answer may not depend on the rows that happen to be computed with it."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from fdpipe.artifacts import Aspect, CheckResult, Mark, Outcome
from fdpipe.evidence import Evidence


class Unbatchable(StrEnum):
    """What becomes of a candidate whose answers depend on their batch-mates: refused, or let through with a mark."""

    REFUSE = "refuse"
    MARK = "mark"


@dataclass(frozen=True, kw_only=True)
class BatchInvariance:
    """No answer may change between a row alone, in batches, beside an outlier, and padded by a longer row: no label, and no
    probability or other figure by more than float arithmetic in another order makes.

    A service that joins requests would otherwise let one caller's rows change another's answers. With `unbatchable=mark` such
    a candidate passes and its release says so: a service never puts two requests into one call. The rows of one request are
    computed together all the same, as their caller sent them: an answer depends on its own request, and on nothing else.
    """

    aspect: ClassVar[Aspect] = Aspect.STABILITY

    unbatchable: Unbatchable = Unbatchable.REFUSE

    def judge(self, evidence: Evidence) -> CheckResult:
        """Every row that was compared counts."""
        found = evidence.evaluation.invariance
        changes, marks = found.changed > 0, self.unbatchable is Unbatchable.MARK
        passes = found.rows > 0 and (marks or not changes)
        reason = f"{found.changed} of {found.rows} answers change with the batch"
        if changes:
            reason += f", most {found.worst_setting}"
            moved = found.largest_difference
            reason += f", by up to {moved:.2g} of their size" if 0 < moved < math.inf else ""
            reason += "; marked: no two requests share a call" if marks else ""
        return CheckResult(
            check="batch_invariance",
            candidate=evidence.candidate.name,
            outcome=Outcome.PASS if passes else Outcome.FAIL,
            reason=reason,
            figure=float(found.changed),
            limit=0.0,
            unit="answers",
            mark=Mark.UNBATCHABLE if passes and changes else None,
        )
