"""robustness: what a caller's worse rows cost the original, they may cost the candidate, and little more."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from fdpipe.artifacts import Aspect, CheckResult, Finding, Outcome, Stress
from fdpipe.gate.loss import Drop, checked
from fdpipe.interfaces import Evidence
from fdpipe.statistics.noninferiority import Comparison, agreement, compare

ORDER = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS)
"""That which decides comes first."""


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """On rows corrupted in each of the ways that were asked, no metric may lose more than `max_drop` against the converted
    model as it is, which stands for the original, on the same rows: surely so, at a confidence of 1 - alpha (non-inferiority).

    Every corruption and every metric must hold, so that none needs a correction for the others (Berger 1982, Technometrics 24,
    295-300). The baseline is what the others are compared with. A search does not ask for corrupted rows: only the finalists
    are put to them.
    """

    aspect: ClassVar[Aspect] = Aspect.QUALITY

    max_drop: float = 0.05
    drop: Drop = Drop.ABSOLUTE
    alpha: float = 0.05

    def __post_init__(self) -> None:
        """A limit that can be compared with, and a probability."""
        checked(self.max_drop)
        if not 0 < self.alpha < 0.5:
            raise ValueError(f"alpha must be above 0 and below 0.5, not {self.alpha}")

    def judge(self, evidence: Evidence) -> CheckResult:
        """The corruption and the metric that lost most decide."""
        result = CheckResult(
            check="robustness", candidate=evidence.candidate.name, outcome=Outcome.PASS, reason="", limit=self.max_drop
        )
        if evidence.stress is None:
            return replace(result, reason="corrupted rows are not asked for a first impression")
        if not evidence.stress:
            return replace(result, reason="no corruption was asked, or none that the rows and the baseline could bear")
        if evidence.is_baseline:
            return replace(result, reason="is the baseline, which the others are compared with on corrupted rows")
        found = [finding for one in evidence.stress for finding in self._of(one, evidence)]
        findings = tuple(sorted(found, key=lambda one: (ORDER.index(one.outcome), -_size(one))))
        first = findings[0]
        undecided = [one.needed for one in findings if one.outcome is Outcome.INCONCLUSIVE]
        return replace(
            result,
            outcome=first.outcome,
            reason=self._reason(first, evidence.stress),
            figure=first.figure,
            unit=first.unit,
            findings=findings,
            needed=_most(undecided) if first.outcome is Outcome.INCONCLUSIVE else None,
        )

    def _of(self, one: Stress, evidence: Evidence) -> list[Finding]:
        """A finding for each metric; one that the candidate has no figure of fails, and so does a corruption without any."""
        findings = []
        for name in one.reference or ("no metric",):
            told = Finding(name=one.corruption, outcome=Outcome.FAIL, limit=self.max_drop, unit=name, rows=one.rows)
            if (found := self._compared(one, name, evidence)) is not None:
                told = replace(told, figure=found.loss, low=found.loss_low, high=found.loss_high)
                told = replace(told, outcome=found.outcome, needed=found.needed)
            findings.append(told)
        return findings

    def _compared(self, one: Stress, name: str, evidence: Evidence) -> Comparison | None:
        """What was lost; None where there is no figure. Agreement is that with the baseline, row by row."""
        figure, paired, relative = one.quality.get(name), evidence.beside_original, self.drop is Drop.RELATIVE
        if figure is None:
            return None
        if name not in evidence.metrics:
            return agreement(figure, one.rows, limit=self.max_drop, relative=relative, alpha=self.alpha)
        if paired is None:
            return None
        return compare(
            evidence.metrics[name], replace(paired, before=one.baseline_answers.load(), after=one.answers.load()),
            higher_is_better=evidence.directions[name], limit=self.max_drop, relative=relative, alpha=self.alpha,
        )  # fmt: skip

    def _reason(self, first: Finding, stress: tuple[Stress, ...]) -> str:
        if first.outcome is Outcome.PASS:
            every = ", ".join(one.corruption for one in stress)
            return f"on rows with {every} {_lost(first)}, at most {self.max_drop:g} is allowed"
        if first.figure is None:
            return f"with {first.name} it has no figure of {first.unit}, and the baseline has one"
        more = ""
        if first.outcome is Outcome.INCONCLUSIVE:
            more = f": some {first.needed} rows would decide" if first.needed else ": these rows cannot decide it"
        return f"with {first.name} {_lost(first)} beside the baseline, at most {self.max_drop:g} is allowed{more}"


def _lost(one: Finding) -> str:
    """What was lost, and its bounds."""
    return f"its loss is {one.figure or 0.0:.4f} ({one.low or 0.0:.4f}–{one.high or 0.0:.4f}) {one.unit}"


def _size(one: Finding) -> float:
    """How much was surely not lost; nothing is sure where there is no figure."""
    return math.inf if one.high is None else one.high


def _most(needed: Iterable[int | None]) -> int | None:
    """The most rows that anything needs; None where no number would do."""
    every = list(needed)
    return None if None in every else max((one for one in every if one is not None), default=None)
