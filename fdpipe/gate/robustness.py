"""robustness: what a caller's worse rows cost the original, they may cost the candidate, and little more."""

from dataclasses import dataclass, replace
from typing import ClassVar

from fdpipe.artifacts import DECIDING_FIRST, Aspect, CheckResult, Finding, Outcome, Stress
from fdpipe.evidence import Evidence
from fdpipe.gate.loss import OF_ZERO, Drop, Limit, is_of_zero, not_shown, rows_needed
from fdpipe.statistics.noninferiority import Loss


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """On rows corrupted in each of the ways that were asked, no metric may lose more than `max_drop` against the converted
    model as it is, which stands for the original, on the same rows: surely so, at a confidence of 1 - alpha (non-inferiority).

    Every corruption and every metric must hold, so that none needs a correction for the others (Berger 1982, Technometrics 24,
    295-300). The baseline is what the others are compared with. A search does not ask for corrupted rows: only the finalists
    are put to them. Where corruptions were asked for and none suits the rows and the baseline, nothing is concluded.
    """

    aspect: ClassVar[Aspect] = Aspect.QUALITY

    max_drop: float = 0.05
    drop: Drop = Drop.ABSOLUTE
    alpha: float = 0.05

    def __post_init__(self) -> None:
        """A limit that can be compared with, and a probability."""
        self._limit()

    def judge(self, evidence: Evidence) -> CheckResult:
        """The corruption and the metric that lost most decide."""
        result = CheckResult(
            check="robustness", candidate=evidence.candidate.name, outcome=Outcome.PASS, reason="", limit=self.max_drop
        )
        if evidence.stress is None:
            return replace(result, reason="corrupted rows are not asked for a first impression")
        if not evidence.stress and not evidence.corruptions:
            return replace(result, reason="no corruption is asked for")
        if evidence.is_baseline:
            return replace(result, reason="is the baseline, which the others are compared with on corrupted rows")
        if not evidence.stress:
            return replace(result, outcome=Outcome.INCONCLUSIVE, reason=_not_asked(evidence.corruptions))
        found = [self._found(one, name, evidence) for one in evidence.stress for name in one.reference or ("no metric",)]
        found.sort(key=lambda one: (DECIDING_FIRST.index(one[0].outcome), -not_shown(one[0])))
        findings = tuple(finding for finding, _ in found)
        first = findings[0]
        return replace(
            result,
            outcome=first.outcome,
            reason=self._reason(*found[0], evidence),
            figure=first.figure,
            unit=first.unit,
            findings=findings,
            needed=rows_needed(findings) if first.outcome is Outcome.INCONCLUSIVE else None,
        )

    def _found(self, one: Stress, name: str, evidence: Evidence) -> tuple[Finding, Loss]:
        """What a metric lost; one that the candidate has no figure of fails, and so does a corruption without any. Agreement is
        that with the baseline, row by row."""
        beside, figures = evidence.beside_original, (one.reference.get(name), one.quality.get(name))
        if beside is not None and None not in figures and name in evidence.metrics:
            beside = replace(beside, before=one.baseline_answers.load(), after=one.answers.load())
        limit = self._limit()
        loss = limit.lost(name, evidence, beside, one.rows, figures)
        return limit.finding(one.corruption, name, loss), loss

    def _limit(self) -> Limit:
        return Limit(max_drop=self.max_drop, drop=self.drop, alpha=self.alpha)

    def _reason(self, first: Finding, loss: Loss, evidence: Evidence) -> str:
        borne = [one.corruption for one in evidence.stress or ()]
        lost = f"its loss is {first.figure or 0.0:.4f} ({first.low or 0.0:.4f}–{first.high or 0.0:.4f}) {first.unit}"
        if first.outcome is Outcome.PASS:
            rest = [name for name in evidence.corruptions if name not in borne]
            told = f" ({', '.join(rest)} could not be asked)" if rest else ""
            return f"on rows with {', '.join(borne)} {lost}, at most {self.max_drop:g} is allowed{told}"
        if is_of_zero(loss):
            return f"with {first.name} the baseline's {first.unit} is 0: {OF_ZERO}"
        if first.figure is None and None in (loss.before, loss.after):
            return f"with {first.name} it has no figure of {first.unit}, and the baseline has one"
        if first.figure is None:
            return f"with {first.name} its {first.unit} cannot be compared row by row"
        undecided = first.outcome is Outcome.INCONCLUSIVE and first.needed is None
        more = ": these rows cannot decide it" if undecided else ""
        return f"with {first.name} {lost} beside the baseline, at most {self.max_drop:g} is allowed{more}"


def _not_asked(corruptions: tuple[str, ...]) -> str:
    names = ", ".join(corruptions)
    return f"the rows cannot be corrupted with {names}, or the baseline has no answers to them then: choose other corruptions"
