"""floor: an absolute floor under the first metric, or a ceiling over one of which less is better."""

import math
from dataclasses import dataclass
from typing import ClassVar

from fdpipe.artifacts import Aspect, CheckResult, Outcome
from fdpipe.evidence import Evidence


@dataclass(frozen=True, kw_only=True)
class Floor:
    """`min_quality` is in the first metric's unit; None sets no floor."""

    aspect: ClassVar[Aspect] = Aspect.QUALITY

    min_quality: float | None = None

    def judge(self, evidence: Evidence) -> CheckResult:
        """The first metric's figure against the floor."""
        name, higher = next(iter(evidence.directions.items()), ("no metric", True))
        value = evidence.evaluation.quality.get(name)
        figure = value if value is not None and math.isfinite(value) else None
        outcome, reason = self._decide(name, figure, higher)
        return CheckResult(
            check="floor",
            candidate=evidence.candidate.name,
            outcome=outcome,
            reason=reason,
            figure=figure,
            limit=self.min_quality,
            unit=name,
        )

    def _decide(self, name: str, figure: float | None, higher: bool) -> tuple[Outcome, str]:
        if self.min_quality is None:
            return Outcome.PASS, "no floor is set"
        if figure is None:
            return Outcome.FAIL, f"{name} has no figure"
        enough = figure >= self.min_quality if higher else figure <= self.min_quality
        wanted = f"must be at {'least' if higher else 'most'} {self.min_quality:.4f}"
        return (Outcome.PASS if enough else Outcome.FAIL), f"{name} is {figure:.4f}, {wanted}"
