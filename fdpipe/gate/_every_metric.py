"""That no metric lost more than it may, beside one other model: no check itself, what quality and incumbent share."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from fdpipe.artifacts import DECIDING_FIRST, CheckResult, Finding, Outcome
from fdpipe.evidence import Evidence, Paired
from fdpipe.gate.loss import AGREEMENT, OF_ZERO, Drop, Limit, is_of_zero, not_shown, rows_needed
from fdpipe.interfaces import Metric
from fdpipe.statistics.noninferiority import ROUNDING, Loss


@dataclass(frozen=True, kw_only=True)
class EveryMetric:
    """What may be lost of every metric. A sure gain above `implausible` (beside what a negative limit demands) is no gain but a
    mistake; None lets any pass."""

    check: str
    limit: Limit
    implausible: float | None = None

    def result(
        self, evidence: Evidence, paired: Paired | None, before: Mapping[str, float | None], suffix: str = ""
    ) -> CheckResult:
        """Every metric must hold, so that none needs a correction for the others (Berger 1982, Technometrics 24, 295-300); that
        which failed, or came nearest to it, decides. `before` are the figures that `paired.before` has."""
        rows, after = evidence.evaluation.rows, evidence.evaluation.quality
        found = {
            name: self.limit.lost(name, evidence, paired, rows, (before.get(name), after.get(name)))
            for name in evidence.directions
        }
        findings = [
            self.limit.finding(name, self._unit(name), one, self._outcome(evidence, name, one)) for name, one in found.items()
        ]
        findings.sort(key=lambda one: (DECIDING_FIRST.index(one.outcome), -not_shown(one)))
        told = CheckResult(
            check=self.check, candidate=evidence.candidate.name, outcome=Outcome.FAIL, reason="there is no metric" + suffix,
            limit=self.limit.max_drop,
        )  # fmt: skip
        if not findings:
            return told
        first = findings[0]
        return replace(
            told,
            outcome=first.outcome,
            reason=self._sentence(first, found[first.name], evidence, paired) + suffix,
            figure=first.figure,
            unit=first.unit,
            findings=tuple(findings),
            needed=rows_needed(findings) if first.outcome is Outcome.INCONCLUSIVE else None,
        )

    def _outcome(self, evidence: Evidence, name: str, loss: Loss) -> Outcome:
        """The loss's own, but for a gain that is too good to be true."""
        if self.implausible is None or loss.loss_high is None or loss.before is None:
            return loss.outcome
        unit = 1.0 if self._is_relative or _within_one(evidence.metrics.get(name)) else abs(loss.before)
        most = self.implausible * unit + max(0.0, -self.limit.max_drop)
        return Outcome.ANOMALOUS if -loss.loss_high > most else loss.outcome

    def _sentence(self, first: Finding, loss: Loss, evidence: Evidence, paired: Paired | None) -> str:
        name, outcome = first.name, first.outcome
        figures = f"({_shown(loss.before)} → {_shown(loss.after)})"
        if is_of_zero(loss):
            return f"{name} cannot be compared {figures}: {OF_ZERO}"
        if loss.loss is None and None in (loss.before, loss.after):
            return f"{name} has no comparable figure {figures}"
        if loss.loss is None:
            return f"{name} cannot be compared {figures}: {_why_not(name, evidence, paired)}"
        said = f"{'lost' if loss.loss >= -ROUNDING else 'gained'} {self._amount(loss.loss)} {first.unit} {figures}"
        if loss.loss_low is None or loss.loss_high is None:
            return f"{said}: there are too few rows to say how sure that is"
        text = f"{said}, at {100 * (1 - self.limit.alpha):g} % {self._surely(loss.loss_low, loss.loss_high, outcome)}"
        if outcome is Outcome.ANOMALOUS:
            return f"{text}: too good to be true; look for rows or labels that leaked"
        most = self.limit.max_drop
        text += f"; at most {self._amount(most)} is allowed" if most >= 0 else f"; must gain {self._amount(most)}"
        undecided = outcome is Outcome.INCONCLUSIVE and loss.needed is None
        return f"{text}: no number of rows would decide it" if undecided else text

    def _surely(self, low: float, high: float, outcome: Outcome) -> str:
        """The bound that decides, in words."""
        bound, side = (low, 1) if outcome is Outcome.FAIL else (high, -1)
        if bound >= 0:
            return f"at {'least' if side > 0 else 'most'} {self._amount(bound)}"
        return f"a gain of at {'most' if side > 0 else 'least'} {self._amount(bound)}"

    @property
    def _is_relative(self) -> bool:
        return self.limit.drop is Drop.RELATIVE

    def _unit(self, name: str) -> str:
        return f"of {name}" if self._is_relative else name

    def _amount(self, value: float) -> str:
        """Without its sign, which the words have."""
        return f"{abs(value):.2%}" if self._is_relative else f"{abs(value):.4f}"


def _why_not(name: str, evidence: Evidence, paired: Paired | None) -> str:
    if paired is None:
        return "there are no answers row by row"
    known = name in evidence.metrics or name == AGREEMENT
    return "the answers are not those of the rows evaluated" if known else "there is no metric of this name"


def _within_one(metric: Metric | None) -> bool:
    """Whether a figure lies between -1 and 1, as far as the metric says; agreement, which is no metric, does."""
    if metric is None or metric.unit == "share":
        return True
    least, most = getattr(metric, "bounds", (-math.inf, math.inf))
    return bool(least >= -1 and most <= 1)


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
