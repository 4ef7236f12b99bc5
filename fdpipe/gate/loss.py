"""How far quality fell below something else: no check itself, what those that compare share."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from fdpipe.artifacts import CheckResult, Outcome

ROUNDING = 1e-9
"""What floating point adds to a difference: 0.97 - 0.96 is above 0.01."""


class Drop(StrEnum):
    """Whether a loss is in the metric's own unit, or a fraction of what it is compared with."""

    ABSOLUTE = "absolute"
    RELATIVE = "relative"


@dataclass(frozen=True, kw_only=True)
class Loss:
    """One metric's fall from `before` to `after`; negative where it rose. `after` or `before` None means no figure."""

    metric: str
    before: float | None
    after: float | None
    amount: float

    def text(self, limit: float, drop: Drop) -> str:
        """What was lost, with both figures and the limit."""
        if not math.isfinite(self.amount):
            return f"{self.metric} has no comparable figure ({_shown(self.before)} → {_shown(self.after)})"
        allowed = f"at most {_amount(limit, drop)} is allowed" if limit >= 0 else f"must gain {_amount(-limit, drop)}"
        change = "lost" if self.amount >= -ROUNDING else "gained"
        figures = f"{_shown(self.before)} → {_shown(self.after)}"
        what = f"of {self.metric}" if drop is Drop.RELATIVE else self.metric
        return f"{change} {_amount(abs(self.amount), drop)} {what} ({figures}), {allowed}"


def checked(max_drop: float) -> None:
    """Raise `ValueError` for a limit with which nothing can be compared."""
    if not math.isfinite(max_drop):
        raise ValueError(f"max_drop must be a finite number, not {max_drop}")


def worst(
    before: Mapping[str, float | None], after: Mapping[str, float | None], directions: Mapping[str, bool], drop: Drop
) -> Loss:
    """The metric that lost most; a figure that is missing on either side is an infinite loss."""
    losses = [_loss(name, before.get(name), after.get(name), higher, drop) for name, higher in directions.items()]
    return max(losses, key=lambda loss: loss.amount, default=Loss(metric="no metric", before=None, after=None, amount=math.inf))


def result(check: str, candidate: str, loss: Loss, limit: float, drop: Drop, suffix: str = "") -> CheckResult:
    """Pass where the loss is at most the limit."""
    within = math.isfinite(loss.amount) and loss.amount <= limit + ROUNDING
    return CheckResult(
        check=check,
        candidate=candidate,
        outcome=Outcome.PASS if within else Outcome.FAIL,
        reason=loss.text(limit, drop) + suffix,
        figure=loss.amount if math.isfinite(loss.amount) else None,
        limit=limit,
        unit=loss.metric if drop is Drop.ABSOLUTE else f"of {loss.metric}",
    )


def _loss(metric: str, before: float | None, after: float | None, higher: bool, drop: Drop) -> Loss:
    amount = math.inf
    if before is not None and after is not None and math.isfinite(before) and math.isfinite(after):
        fall = before - after if higher else after - before
        amount = _share(fall, before) if drop is Drop.RELATIVE else fall
    return Loss(metric=metric, before=before, after=after, amount=amount)


def _share(amount: float, of: float) -> float:
    """A fraction; of nothing, any loss is infinite and any gain none."""
    if of == 0:
        return math.inf if amount > 0 else 0.0
    return amount / abs(of)


def _amount(value: float, drop: Drop) -> str:
    return f"{value:.2%}" if drop is Drop.RELATIVE else f"{value:.4f}"


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
