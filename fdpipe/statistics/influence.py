"""What each row, or kind of row, adds to a metric's loss: of a metric that is no mean over rows, found by leaving rows out."""

import math
from dataclasses import dataclass

import numpy as np

from fdpipe.arrays import Batch, take
from fdpipe.interfaces import Metric, Rowwise
from fdpipe.statistics.weights import Sample

MOST_PARTS = 128
"""In how many parts at most rows are left out, one part after the other."""

EXCHANGES = 48
"""How many rows are answered with another row's answer, to see what that costs."""

DEAR = 0.9
"""What a row not seen might lose is this quantile of these costs: with their mean, rare events of unequal cost would pass too
often (bench/gate)."""

NOTHING = 1e-9
"""A smaller cost is rounding."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Answered:
    """Two models' answers to the rows that count, with what they are judged by; all have as many rows."""

    before: Batch
    after: Batch
    truth: np.ndarray

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.truth)

    def at(self, rows: np.ndarray) -> "Answered":
        """These rows, by mask or by number."""
        return Answered(before=take(self.before, rows), after=take(self.after, rows), truth=self.truth[rows])


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How two figures become a loss: fallen where more is better, and a fraction of the first where it is `relative`."""

    higher_is_better: bool
    relative: bool

    def loss(self, before: float, after: float) -> float:
        """NaN where there is nothing to be a fraction of."""
        fall = before - after if self.higher_is_better else after - before
        if not self.relative:
            return fall
        return fall / abs(before) if before else math.nan

    @property
    def sign(self) -> int:
        """1 where more is better."""
        return 1 if self.higher_is_better else -1


def of_rows(metric: Rowwise, answered: Answered, scale: Scale, seed: int) -> Sample:
    """The loss of each row, by the metric's own figures of rows; a fraction of the mean in the first order (the delta method).

    What a row not seen might lose is what the metric's bounds allow; where it has none, what it costs nine rows in ten to
    be answered with another row's answer, or the most that a row did lose.
    """
    before = np.asarray(metric.of_rows(answered.before, answered.truth), np.float64)
    after = np.asarray(metric.of_rows(answered.after, answered.truth), np.float64)
    losses, figure = scale.sign * (before - after), float(before.mean())
    least, most = metric.bounds if scale.higher_is_better else (-metric.bounds[1], -metric.bounds[0])
    towards = scale.sign * before
    worst = float((most if math.isfinite(most) else towards.max()) - least)
    if not math.isfinite(worst):
        random = np.random.default_rng(seed)
        others = [random.permutation(answered.rows) for _ in range(2)]
        exchanged = [metric.of_rows(take(answered.after, other), answered.truth) for other in others]
        worst = max(_dear(towards - scale.sign * np.asarray(exchanged)), float(losses.max()))
    best = -worst if math.isfinite(least) else min(-worst, float(losses.min()))
    if not scale.relative:
        return Sample.of(losses, worst, best, seed)
    share, size = float(losses.mean()) / abs(figure), abs(figure)
    linear = share + (losses - share * np.sign(figure) * before) / size
    return Sample.of(linear, worst / size, best / size, seed)


def by_leaving_out(metric: Metric, answered: Answered, scale: Scale, seed: int) -> Sample:
    """The influence of each part on the loss: the jackknife's pseudo-values (Tukey 1958; Efron 1982, chapter 3), each kind of
    equal rows left out once, or where there are too many kinds, parts chosen at random.

    What a row not seen might lose is what it costs nine rows in ten to be answered with another row's answer, where that costs
    anything, or the most that a row here did lose. An influence may be NaN: without those rows there was no figure.
    """
    answered = _read(metric, answered)

    def loss(rows: Answered) -> float:
        return scale.loss(metric.score(rows.before, rows.truth), metric.score(rows.after, rows.truth))

    random, whole, rows = np.random.default_rng(seed), loss(answered), answered.rows
    parts = _kinds(answered)
    kinds = len(parts) <= MOST_PARTS
    if not kinds:
        parts = np.array_split(random.permutation(rows), MOST_PARTS)
    counts = np.array([len(part) if kinds else 1 for part in parts])
    sizes = np.array([1.0 if kinds else len(part) for part in parts])
    left_out = [part[: int(size)] for part, size in zip(parts, sizes, strict=True)]
    others = np.array([loss(answered.at(np.delete(np.arange(rows), out))) for out in left_out])
    excess = (rows - sizes) / sizes * (whole - others)
    excess -= float(np.sum(counts * sizes * excess)) / rows
    worst = max(_cost_of_another(metric, answered, scale, random), float(np.max(sizes * excess)))
    best = min(-worst, float(np.min(sizes * excess)))
    return Sample(values=whole + excess, counts=counts, rows=sizes, worst=worst, best=best)


def _cost_of_another(metric: Metric, answered: Answered, scale: Scale, random: np.random.Generator) -> float:
    """What a row may cost that is answered like another; the whole figure, where that never costs anything."""
    before, rows = metric.score(answered.before, answered.truth), answered.rows
    whole, costs = scale.loss(before, metric.score(answered.after, answered.truth)), []
    for _ in range(EXCHANGES):
        order = np.arange(rows)
        order[random.integers(rows)] = random.integers(rows)
        costs.append(rows * (scale.loss(before, metric.score(take(answered.after, order), answered.truth)) - whole))
    return _dear(np.array(costs)) or (1.0 if scale.relative else abs(before))


def _dear(costs: np.ndarray) -> float:
    """What nine in ten of those that are any do not exceed; 0 where none is, or they are no costs."""
    some = costs[np.isfinite(costs) & (np.abs(costs) > NOTHING)]
    return max(0.0, float(np.quantile(some, DEAR))) if len(some) else 0.0


def _kinds(answered: Answered) -> list[np.ndarray]:
    """The rows of each kind, which are alike in all that a metric sees; each row by itself where there are many kinds."""
    every = [answered.truth, *answered.before.values(), *answered.after.values()]
    codes = np.zeros(answered.rows, np.int64)
    for array in every:
        flat = np.asarray(array).reshape(answered.rows, -1)
        for column in (flat.astype(str) if flat.dtype.kind == "O" else flat).T:
            codes = np.unique(codes * answered.rows + np.unique(column, return_inverse=True)[1], return_inverse=True)[1]
            if codes.max() >= MOST_PARTS:
                return [np.array([row]) for row in range(answered.rows)]
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


def _read(metric: Metric, answered: Answered) -> Answered:
    """Only the labels, where the metric looks at nothing else."""
    if not all("label" in answers for answers in (answered.before, answered.after)):
        return answered
    labels = [{"label": answers["label"]} for answers in (answered.before, answered.after)]
    try:
        alike = all(
            metric.score(one, answered.truth) == metric.score(every, answered.truth)
            for one, every in zip(labels, (answered.before, answered.after), strict=True)
        )
    except (LookupError, ValueError, TypeError):
        return answered
    return Answered(before=labels[0], after=labels[1], truth=answered.truth) if alike else answered
