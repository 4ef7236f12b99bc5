"""How far quality fell below something else, surely and at most: no check itself, what those that compare share."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from fdpipe.artifacts import CheckResult, Finding, Outcome
from fdpipe.interfaces import Evidence, Metric, Paired
from fdpipe.statistics.noninferiority import ROUNDING, Comparison, agreement, compare

AGREEMENT = "agreement"
"""The figure that stands for quality where there are no labels and every metric needs them."""

ORDER = (Outcome.FAIL, Outcome.ANOMALOUS, Outcome.INCONCLUSIVE, Outcome.PASS)
"""That which decides comes first."""


class Drop(StrEnum):
    """Whether a loss is in the metric's own unit, or a fraction of what it is compared with."""

    ABSOLUTE = "absolute"
    RELATIVE = "relative"


def checked(max_drop: float) -> None:
    """Raise `ValueError` for a limit with which nothing can be compared."""
    if not math.isfinite(max_drop):
        raise ValueError(f"max_drop must be a finite number, not {max_drop}")


def checked_alpha(alpha: float) -> None:
    """Raise `ValueError` for what is no probability of error."""
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha must be above 0 and below 0.5, not {alpha}")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What may be lost of every metric: `limit`, with confidence 1 - `alpha`. A sure gain above `implausible` (beside what a
    negative limit demands) is no gain but a mistake; None lets any pass."""

    check: str
    limit: float
    drop: Drop
    alpha: float
    implausible: float | None = None

    def result(
        self, evidence: Evidence, paired: Paired | None, before: Mapping[str, float | None], suffix: str = ""
    ) -> CheckResult:
        """Every metric must hold, so that none needs a correction for the others (Berger 1982, Technometrics 24, 295-300); that
        which failed, or came nearest to it, decides. `before` are the figures that `paired.before` has."""
        found = {name: self._compared(name, evidence, paired, before) for name in evidence.directions}
        judged = {name: self._outcome(evidence.metrics.get(name), one) for name, one in found.items()}
        names = sorted(found, key=lambda name: (ORDER.index(judged[name]), -_size(found[name])))
        told = CheckResult(
            check=self.check, candidate=evidence.candidate.name, outcome=Outcome.FAIL, reason="there is no metric" + suffix,
            limit=self.limit,
        )  # fmt: skip
        if not names:
            return told
        first, undecided = names[0], [found[name].needed for name in names if judged[name] is Outcome.INCONCLUSIVE]
        known = [one for one in undecided if one is not None]
        return CheckResult(
            check=self.check,
            candidate=told.candidate,
            outcome=judged[first],
            reason=self._sentence(first, judged[first], found[first], paired) + suffix,
            figure=found[first].loss,
            limit=self.limit,
            unit=self._unit(first),
            findings=tuple(self._finding(name, judged[name], found[name]) for name in names),
            needed=max(known) if known and len(known) == len(undecided) and judged[first] is Outcome.INCONCLUSIVE else None,
        )

    def _compared(self, name: str, evidence: Evidence, paired: Paired | None, before: Mapping[str, float | None]) -> Comparison:
        evaluation, relative = evidence.evaluation, self.drop is Drop.RELATIVE
        figures, rows = (_finite(before.get(name)), _finite(evaluation.quality.get(name))), evaluation.rows
        nothing = Comparison(outcome=Outcome.FAIL, rows=rows, before=figures[0], after=figures[1])
        if paired is None or None in figures:
            return nothing
        if name == AGREEMENT and name not in evidence.metrics:
            share, other = figures[1] or 0.0, figures[0] or 0.0
            return agreement(share, rows, limit=self.limit, before=other, relative=relative, alpha=self.alpha)
        if name not in evidence.metrics:
            return nothing
        found = compare(
            evidence.metrics[name], paired, higher_is_better=evidence.directions[name], limit=self.limit, relative=relative,
            alpha=self.alpha,
        )  # fmt: skip
        return found if found.rows == rows and found.loss is not None else nothing

    def _outcome(self, metric: Metric | None, found: Comparison) -> Outcome:
        """The comparison's own, but for a gain that is too good to be true."""
        if self.implausible is None or found.loss_high is None or found.before is None:
            return found.outcome
        return Outcome.ANOMALOUS if -found.loss_high > self._implausible(metric, found.before) else found.outcome

    def _implausible(self, metric: Metric | None, before: float) -> float:
        """In the unit of the loss: of a figure that lies between -1 and 1 in that unit, of any other a fraction of it."""
        unit = 1.0 if self.drop is Drop.RELATIVE or _within_one(metric) else abs(before)
        return (self.implausible or 0.0) * unit + max(0.0, -self.limit)

    def _sentence(self, name: str, outcome: Outcome, found: Comparison, paired: Paired | None) -> str:
        figures = f"({_shown(found.before)} → {_shown(found.after)})"
        if found.loss is None and None not in (found.before, found.after) and found.outcome is Outcome.FAIL:
            why = "there are no answers row by row" if paired is None else "the answers are not those of the rows evaluated"
            return f"{name} cannot be compared {figures}: {why}"
        if found.loss is None:
            return f"{name} has no comparable figure {figures}"
        what = f"of {name}" if self.drop is Drop.RELATIVE else name
        change = "lost" if found.loss >= -ROUNDING else "gained"
        said = f"{change} {self._amount(abs(found.loss))} {what} {figures}"
        if found.loss_low is None or found.loss_high is None:
            return f"{said}: there are too few rows to say how sure that is"
        surely = self._surely(found.loss_low, found.loss_high, outcome)
        allowed = (
            f"at most {self._amount(self.limit)} is allowed" if self.limit >= 0 else f"must gain {self._amount(-self.limit)}"
        )
        text = f"{said}, at {100 * (1 - self.alpha):g} % {surely}; {allowed}"
        if outcome is Outcome.ANOMALOUS:
            return f"{said}, at {100 * (1 - self.alpha):g} % {surely}: too good to be true; look for rows or labels that leaked"
        if outcome is not Outcome.INCONCLUSIVE:
            return text
        if found.needed is None:
            return f"{text}: no number of rows would decide it"
        return f"{text}: {found.needed:,} rows would decide, there are {found.rows:,}"

    def _surely(self, low: float, high: float, outcome: Outcome) -> str:
        """The bound that decides, in words."""
        bound, side = (low, 1) if outcome is Outcome.FAIL else (high, -1)
        size = self._amount(abs(bound))
        if bound >= 0:
            return f"at {'least' if side > 0 else 'most'} {size}"
        return f"a gain of at {'most' if side > 0 else 'least'} {size}"

    def _finding(self, name: str, outcome: Outcome, found: Comparison) -> Finding:
        return Finding(
            name=name, outcome=outcome, figure=found.loss, low=found.loss_low, high=found.loss_high, limit=self.limit,
            unit=self._unit(name), rows=found.rows, needed=found.needed if outcome is Outcome.INCONCLUSIVE else None,
        )  # fmt: skip

    def _unit(self, name: str) -> str:
        return f"of {name}" if self.drop is Drop.RELATIVE else name

    def _amount(self, value: float) -> str:
        return f"{value:.2%}" if self.drop is Drop.RELATIVE else f"{value:.4f}"


def _within_one(metric: Metric | None) -> bool:
    """Whether a figure lies between -1 and 1, as far as the metric says; agreement, which is no metric, does."""
    if metric is None or metric.unit == "share":
        return True
    least, most = getattr(metric, "bounds", (-math.inf, math.inf))
    return bool(least >= -1 and most <= 1)


def _size(found: Comparison) -> float:
    """How much was not surely kept; all of it where there is no figure."""
    return math.inf if found.loss_high is None else found.loss_high


def _finite(figure: float | None) -> float | None:
    return figure if figure is not None and math.isfinite(figure) else None


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
