"""Confidence bounds of a mean from its rows alone, whatever their distribution: a bootstrap that knows what it has not seen."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MOST_VALUES = 1024
"""More different values than these are put together at random, in so many groups of as many rows."""

AT_ONCE = 500
"""Draws that are held in memory together."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Rows by what each lost: the different `values`, float64 of shape (values,), and of how many rows each is the mean
    (`rows`) and how often it was seen (`counts`). `worst` and `best` are what a row not seen might have lost."""

    values: np.ndarray
    counts: np.ndarray
    rows: np.ndarray
    worst: float
    best: float

    @classmethod
    def of(cls, losses: np.ndarray, worst: float, best: float, seed: int = 0) -> "Sample":
        """Of one loss for each row."""
        values, counts = np.unique(losses, return_counts=True)
        if len(values) <= MOST_VALUES:
            return cls(values=values, counts=counts, rows=np.ones(len(values)), worst=worst, best=best)
        parts = np.array_split(np.random.default_rng(seed).permutation(losses), MOST_VALUES)
        means, sizes = np.array([part.mean() for part in parts]), np.array([len(part) for part in parts])
        return cls(values=means, counts=np.ones(len(means), int), rows=sizes.astype(float), worst=worst, best=best)

    @property
    def total(self) -> float:
        """How many rows there are."""
        return float(np.sum(self.counts * self.rows))

    @property
    def mean(self) -> float:
        """What a row lost in the mean."""
        return float(np.sum(self.counts * self.rows * self.values) / self.total)


def bounds(sample: Sample, alpha: float, seed: int = 0, draws: int = 4000) -> tuple[float, float]:
    """The one-sided lower and upper confidence bound of the mean, each at 1 - alpha.

    The upper is a quantile of the mean under random weights of the rows (the Bayesian bootstrap; Rubin 1981, Annals of
    Statistics 9, 130-134) with one more row, which lost the most that a row can: the bound of Gaffke for the mean of a bounded
    variable (2005, Mathematical Methods of Statistics 14, 379-404; Learned-Miller & Thomas 2019, arXiv 1905.06208). Of rows
    that lost all or nothing it is the exact one of Clopper and Pearson; where none lost anything it is the rule of three. The
    lower is its mirror.
    """
    random = np.random.default_rng(seed)
    low, high = np.empty(draws), np.empty(draws)
    for start in range(0, draws, AT_ONCE):
        part = slice(start, min(draws, start + AT_ONCE))
        size = part.stop - part.start
        weights = _weights(random, sample.counts, size) * sample.rows
        unseen, total = random.standard_exponential(size), weights.sum(axis=1)
        lost = weights @ sample.values
        low[part] = (lost + unseen * sample.best) / (total + unseen)
        high[part] = (lost + unseen * sample.worst) / (total + unseen)
    place = min(draws - 1, math.ceil((draws + 1) * (1 - alpha)) - 1)
    return float(-np.sort(-low)[place]), float(np.sort(high)[place])


def _weights(random: np.random.Generator, counts: np.ndarray, draws: int) -> np.ndarray:
    """Of each value, of shape (draws, values): the sum of an exponential weight for each row that has it."""
    shape = (draws, len(counts))
    return random.standard_exponential(shape) if (counts == 1).all() else random.standard_gamma(counts, shape)


def needed(sample: Sample, limit: float, alpha: float) -> int | None:
    """About how many rows like these would show that the mean is below `limit`, or above it: by the bound's first three moments
    (Cornish & Fisher 1938); None where the mean is the limit itself."""
    loss = sample.mean
    sign = 1.0 if loss < limit else -1.0
    distance, worst = abs(limit - loss), max(0.0, sign * ((sample.worst if sign > 0 else sample.best) - loss))
    if distance <= 1e-9 * max(1.0, abs(limit)):
        return None
    share, centred = sample.counts * sample.rows / sample.total, sign * (sample.values - loss)
    square = float(np.sum(share * sample.rows * centred**2))
    cube = float(np.sum(share * sample.rows**2 * centred**3))
    return _least(lambda rows: _excess(rows, square, cube, worst, alpha) <= distance)


def _excess(rows: float, square: float, cube: float, worst: float, alpha: float) -> float:
    """How far the upper bound lies above the mean of so many rows: the quantile of a sum of weighted rows and one at worst."""
    from scipy.special import ndtri

    quantile = -float(ndtri(alpha))
    mean, variance = worst / rows, (square * rows + worst**2) / rows**2
    if variance == 0:
        return mean
    skewness = 2 * (cube * rows + worst**3) / rows**3 / variance**1.5
    return float(mean + math.sqrt(variance) * (quantile + skewness * (quantile**2 - 1) / 6))


MOST_ROWS = 10**12
"""A number of rows that nobody has."""


def _least(enough: Callable[[float], bool]) -> int | None:
    """The least number of rows that is enough."""
    low, high = 1.0, 2.0
    while not enough(high):
        low, high = high, 2 * high
        if high > MOST_ROWS:
            return None
    while high - low > 0.5:
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return math.ceil(high)
