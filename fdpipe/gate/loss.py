"""What was lost of a metric, surely and at most: no check itself, what those that compare answers share."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from fdpipe.artifacts import Finding, Outcome
from fdpipe.evidence import Evidence, Paired
from fdpipe.statistics.noninferiority import RESAMPLES, Loss, agreement, compare

AGREEMENT = "agreement"
"""The figure that stands for quality where there are no labels and every metric needs them."""

MOST_RESAMPLES = 20_000
"""However small a share of alpha is one slice's."""

BEYOND = 20
"""As many draws, at least, lie beyond a bound."""

OF_ZERO = "a fraction of 0 is undefined: gate.drop=absolute says what may be lost in its own unit"
"""What is said of a relative limit and a figure that was 0 before."""


class Drop(StrEnum):
    """Whether a loss is in the metric's own unit, or a fraction of what it is compared with."""

    ABSOLUTE = "absolute"
    RELATIVE = "relative"


@dataclass(frozen=True, kw_only=True)
class Limit:
    """At most `max_drop` of a metric may be lost, with confidence 1 - `alpha`; `ValueError` for what is no limit, or no
    probability of error."""

    max_drop: float
    drop: Drop
    alpha: float

    def __post_init__(self) -> None:
        """A limit that can be compared with, and a probability."""
        if not math.isfinite(self.max_drop):
            raise ValueError(f"max_drop must be a finite number, not {self.max_drop}")
        if not 0 < self.alpha < 0.5:
            raise ValueError(f"alpha must be above 0 and below 0.5, not {self.alpha}")

    def lost(
        self,
        name: str,
        evidence: Evidence,
        paired: Paired | None,
        rows: int,
        figures: tuple[float | None, float | None] | None = None,
        mask: np.ndarray | None = None,
    ) -> Loss:
        """What `paired` lost of the metric, on the `rows` rows of the mask. `figures` are those before and after, where they
        are known already: for agreement, which stands for labels and is no metric, they are all that is asked.

        FAIL where a figure is missing, the answers are not of so many rows, or there is no metric of that name.
        """
        before, after = figures or (None, None)
        nothing = Loss(outcome=Outcome.FAIL, rows=rows, before=_finite(before), after=_finite(after))
        if paired is None or (figures is not None and None in (nothing.before, nothing.after)):
            return nothing
        relative = self.drop is Drop.RELATIVE
        if name == AGREEMENT and name not in evidence.metrics:
            share, other = nothing.after or 0.0, nothing.before or 0.0
            return agreement(share, rows, limit=self.max_drop, before=other, relative=relative, alpha=self.alpha)
        if name not in evidence.metrics:
            return nothing
        found = compare(
            evidence.metrics[name], paired, higher_is_better=evidence.directions[name], limit=self.max_drop, relative=relative,
            alpha=self.alpha, rows=mask, resamples=int(min(MOST_RESAMPLES, max(RESAMPLES, BEYOND / self.alpha))),
        )  # fmt: skip
        return found if found.rows == rows else nothing

    def finding(self, name: str, unit: str, loss: Loss, outcome: Outcome | None = None) -> Finding:
        """It, as the report has it; with another outcome where the check has one."""
        outcome = outcome or loss.outcome
        return Finding(
            name=name, outcome=outcome, figure=loss.loss, low=loss.loss_low, high=loss.loss_high, limit=self.max_drop,
            unit=unit, rows=loss.rows, needed=loss.needed if outcome is Outcome.INCONCLUSIVE else None, p_value=loss.p_value,
        )  # fmt: skip


def is_of_zero(loss: Loss) -> bool:
    """Whether it would be a fraction of 0: both figures are known, and there is no loss."""
    return loss.loss is None and loss.outcome is Outcome.INCONCLUSIVE


def not_shown(finding: Finding) -> float:
    """How much was not surely kept; all of it where there is no figure."""
    return math.inf if finding.high is None else finding.high


def rows_needed(findings: Iterable[Finding]) -> int | None:
    """The most rows that anything undecided needs; None where nothing is, or no number would do for one of them."""
    every = [one.needed for one in findings if one.outcome is Outcome.INCONCLUSIVE]
    known = [one for one in every if one is not None]
    return max(known) if known and len(known) == len(every) else None


def _finite(figure: float | None) -> float | None:
    return figure if figure is not None and math.isfinite(figure) else None
