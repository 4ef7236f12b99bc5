"""The loss of one metric between two models' answers to the same rows, judged against a limit with confidence."""

import math
from dataclasses import dataclass, replace

import numpy as np

from fdpipe.artifacts import Outcome
from fdpipe.evidence import Paired
from fdpipe.interfaces import Metric, Rowwise
from fdpipe.statistics import proportions
from fdpipe.statistics.influence import Answered, Scale, by_leaving_out, of_rows
from fdpipe.statistics.weights import bounds, needed

RESAMPLES = 4000
"""Draws of the weights that a bound is a quantile of."""

ROUNDING = 1e-9
"""What floating point adds to a difference: 0.97 - 0.96 is above 0.01."""


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What a metric lost from `before` to `after` on `rows` rows, in its own unit, or as a fraction of `before`.

    `loss` is what was seen (negative: a gain); `loss_low` and `loss_high` are its one-sided confidence bounds, each at
    1 - alpha. All three, `before` and `after` are None where there is no comparable figure, and the outcome then is a failure.
    Where only `loss` is none, it would be a fraction of 0, and nothing is concluded. `needed` is how many rows would decide
    what is inconclusive, at the loss and the disagreement seen; None where no number would, or nothing is undecided. `p_value`
    is that of the two being equally often right (exact McNemar), for labels only.
    """

    outcome: Outcome
    rows: int
    before: float | None = None
    after: float | None = None
    loss_low: float | None = None
    loss: float | None = None
    loss_high: float | None = None
    needed: int | None = None
    p_value: float | None = None


def compare(
    metric: Metric,
    paired: Paired,
    *,
    higher_is_better: bool,
    limit: float,
    relative: bool = False,
    alpha: float = 0.05,
    rows: np.ndarray | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Loss:
    """The loss of `metric` from `paired.before` to `paired.after`, on the rows of the mask `rows` (bool of shape (rows,)).

    Non-inferiority: PASS where the upper bound of the loss is at most `limit`, FAIL where its lower bound is above it,
    INCONCLUSIVE otherwise. A missing or non-finite figure, answers of different lengths and an empty mask fail. `limit` is in
    the metric's unit, or with `relative` a fraction of the figure before, of which 0 has none; a negative one demands a gain.
    It never passes by chance more often than in `alpha` of all cases at a true loss of `limit`. ANOMALOUS is left to the
    caller: the gain is at least `-loss_high`. Takes well under a second; the same arguments give the same figures.
    """
    answered, scale = _answered(metric, paired, rows), Scale(higher_is_better=higher_is_better, relative=relative)
    count = answered.rows if answered is not None else 0
    if answered is None or not count:
        return Loss(outcome=Outcome.FAIL, rows=count)
    before, after = (float(metric.score(answers, answered.truth)) for answers in (answered.before, answered.after))
    if not math.isfinite(before) or not math.isfinite(after):
        return Loss(outcome=Outcome.FAIL, rows=count, before=_finite(before), after=_finite(after))
    loss = scale.loss(before, after)
    figures = Loss(outcome=Outcome.INCONCLUSIVE, rows=count, before=before, after=after, loss=_finite(loss))
    if not math.isfinite(loss):
        return figures
    right = _right(metric, answered)
    if right is not None:
        return _labels(figures, *right, before if relative else 1.0, limit, alpha)
    if count < 2:
        return figures
    if isinstance(metric, Rowwise):
        sample = of_rows(metric, answered, scale, seed)
    else:
        sample = by_leaving_out(metric, answered, scale, seed)
    if not np.isfinite(sample.values).all() or not math.isfinite(sample.worst):
        return figures
    low, high = bounds(sample, alpha, seed, resamples)
    return _decided(figures, low, high, limit, needed(sample, limit, alpha))


def agreement(
    share: float, rows: int, *, limit: float, before: float = 1.0, relative: bool = False, alpha: float = 0.05
) -> Loss:
    """The same for the share of `rows` that are answered like the original, where there are no labels. `before` is another
    model's share: 1 is the original's own. Of which rows it is, is not asked: as few as can be are taken to be among both's,
    and there is no p-value but beside the original."""
    if rows < 1 or not 0 <= share <= 1 or not 0 <= before <= 1:
        return Loss(outcome=Outcome.FAIL, rows=rows)
    lost, gained = round((1 - share) * rows), round((1 - before) * rows)
    both = max(0, lost + gained - rows)
    loss = Scale(higher_is_better=True, relative=relative).loss(before, share)
    figures = Loss(outcome=Outcome.INCONCLUSIVE, rows=rows, before=before, after=share, loss=_finite(loss))
    if figures.loss is None:
        return figures
    found = _labels(figures, lost - both, gained - both, before if relative else 1.0, limit, alpha)
    return found if gained == 0 else replace(found, p_value=None)


def _answered(metric: Metric, paired: Paired, rows: np.ndarray | None) -> Answered | None:
    """The rows that count; None where there is nothing to judge by, or the numbers of rows differ."""
    truth = paired.truth(metric)
    if truth is None:
        return None
    lengths = {len(array) for answers in (paired.before, paired.after) for array in answers.values()}
    if lengths != {len(truth)} or (rows is not None and len(rows) != len(truth)):
        return None
    every = Answered(before=paired.before, after=paired.after, truth=truth)
    return every if rows is None else every.at(np.asarray(rows, bool))


def _right(metric: Metric, answered: Answered) -> tuple[int, int] | None:
    """How many rows were lost, and gained, by a metric that is 1 for a right row and 0 for a wrong one; None for another."""
    if not isinstance(metric, Rowwise) or tuple(metric.bounds) != (0, 1):
        return None
    before, after = (np.asarray(metric.of_rows(one, answered.truth)) for one in (answered.before, answered.after))
    if not all(np.isin(figures, (0, 1)).all() for figures in (before, after)):
        return None
    gone, new = int(np.sum(before > after)), int(np.sum(before < after))
    return (gone, new) if metric.higher_is_better else (new, gone)


def _labels(figures: Loss, lost: int, gained: int, unit: float, limit: float, alpha: float) -> Loss:
    """By exact tests; `unit` is the figure that the limit is a fraction of, taken as it was seen."""
    rows = figures.rows
    low, high = proportions.lower(lost, gained, rows, alpha) / unit, proportions.upper(lost, gained, rows, alpha) / unit
    enough = proportions.needed(lost, gained, rows, limit * unit, alpha) if low <= limit < high - ROUNDING else None
    return replace(_decided(figures, low, high, limit, enough), p_value=proportions.p_alike(lost, gained))


def _decided(figures: Loss, low: float, high: float, limit: float, enough: int | None) -> Loss:
    outcome = Outcome.INCONCLUSIVE
    if high <= limit + ROUNDING:
        outcome = Outcome.PASS
    elif low > limit + ROUNDING:
        outcome = Outcome.FAIL
    undecided = max(enough, figures.rows + 1) if enough is not None and outcome is Outcome.INCONCLUSIVE else None
    return replace(figures, outcome=outcome, loss_low=low, loss_high=high, needed=undecided)


def _finite(figure: float) -> float | None:
    return figure if math.isfinite(figure) else None
