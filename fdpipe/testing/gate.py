"""The fake check."""

from dataclasses import dataclass

import numpy as np

from fdpipe.artifacts import (
    CheckResult,
    Outcome,
)
from fdpipe.evidence import Evidence


@dataclass(frozen=True, kw_only=True)
class FakeCheck:
    """Passes the candidates whose quality is at least `floor` in every metric, except those named in `refuses`."""

    floor: float = 0.9
    refuses: tuple[str, ...] = ()
    outcome: Outcome = Outcome.FAIL

    def judge(self, evidence: Evidence) -> CheckResult:
        """`outcome` is what a refusal is called."""
        figures = [np.nan if value is None else value for value in evidence.evaluation.quality.values()]
        worst = float(min(figures, default=np.nan))
        passes = worst >= self.floor and evidence.candidate.name not in self.refuses
        return CheckResult(
            check="fake", candidate=evidence.candidate.name, outcome=Outcome.PASS if passes else self.outcome,
            reason=f"has {worst:.3f}, the floor is {self.floor}", figure=worst, limit=self.floor,
        )  # fmt: skip
