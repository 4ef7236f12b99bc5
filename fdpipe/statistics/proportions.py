"""Two models' right and wrong answers on the same rows: exact tests that need no large numbers.

`lost` rows were answered rightly only before, `gained` rows only after; the loss is (lost - gained) / rows.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

RATES = 48
"""At how many values of the rate that a hypothesis leaves open its p-value is taken."""

WIDTH = 7.5
"""How many standard deviations of a distribution are counted, and as many outcomes again."""

NOWHERE = -60.0
"""The logarithm of a probability that adds nothing to any other."""

MANY_ROWS = 3000
"""From so many on, how many rows are needed is told by the statistic alone, without its exact distribution."""

PRECISION = 1 / 200
"""A bound is found to within this fraction of its distance from the loss seen, on the cautious side."""


def p_within(lost: int, gained: int, rows: int, limit: float) -> float:
    """The p-value against "the loss is `limit` or more"; exact and unconditional.

    Outcomes are ordered by the score statistic for paired proportions (Tango 1998, Statistics in Medicine 17, 891-908); their
    probability is maximised over the rate that the hypothesis leaves open (Hsueh, Liu & Chen 2001, Biometrics 57, 478-483), on
    a grid that is finest where losses have no gains beside them. `ValueError` for counts that cannot be.
    """
    _check(lost, gained, rows)
    if not -1 < limit < 1:
        return 0.0 if limit >= 1 else 1.0
    seen = float(score(np.array([lost]), np.array([gained]), rows, limit)[0])
    least, most = max(0.0, -limit), (1 - limit) / 2
    rates = least + (most - least) * np.linspace(0, 1, RATES) ** 3
    spread = WIDTH * np.sqrt(rows * rates * (1 - rates)) + 2 * WIDTH
    first = np.maximum(0, np.floor(rows * rates - spread)).astype(int)
    last = np.minimum(rows, np.ceil(rows * rates + spread)).astype(int)
    most_lost = _border(np.arange(last.max() + 1), rows, limit, seen)
    widths = last - first + 1
    starts = np.cumsum(widths) - widths
    gained_by_rate = np.arange(widths.sum()) - np.repeat(starts - first, widths)
    shares = _shares(gained_by_rate, most_lost[gained_by_rate], rows, np.repeat(rates, widths), limit)
    return float(np.add.reduceat(shares, starts).max())


@lru_cache(maxsize=4096)
def upper(lost: int, gained: int, rows: int, alpha: float) -> float:
    """The loss's one-sided upper confidence bound: the least limit for which `p_within` is at most `alpha`, by bisection.

    Unless it is a gain, it is no less than what so many rows may hide that all are alike (the rule of three): few rows that
    happened to gain do not stand for many.
    """
    _check(lost, gained, rows)
    from scipy.special import ndtri

    loss, quantile = (lost - gained) / rows, -float(ndtri(alpha))
    near = _crossing(lambda limit: float(score(np.array([lost]), np.array([gained]), rows, limit)[0]) <= -quantile, loss, 1.0)
    low, high, step = loss, near, max(near - loss, 1e-9)
    while high < 1 and p_within(lost, gained, rows, high) > alpha:
        low, high = high, min(1.0, high + step / 8)
    if low == loss:
        low = max(loss, near - step / 8)
        while low > loss and p_within(lost, gained, rows, low) <= alpha:
            high, low = low, max(loss, low - step / 8)
    high = _least_within(lambda limit: p_within(lost, gained, rows, limit), low, high, alpha, PRECISION * step)
    return high if high <= 0 else max(high, 1 - alpha ** (1 / rows))


def lower(lost: int, gained: int, rows: int, alpha: float) -> float:
    """The one-sided lower confidence bound of the loss."""
    return -upper(gained, lost, rows, alpha)


def p_alike(lost: int, gained: int) -> float:
    """The two-sided p-value of the two being equally often right: McNemar's test in its exact form (McNemar 1947, Psychometrika
    12, 153-157)."""
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(lost, gained), lost + gained, 0.5))) if lost + gained else 1.0


@lru_cache(maxsize=4096)
def needed(lost: int, gained: int, rows: int, limit: float, alpha: float) -> int | None:
    """How many rows would show that the loss is below `limit`, or above it, if they lost and gained as often as these do;
    None where the loss seen is the limit itself."""
    from scipy.special import ndtri

    _check(lost, gained, rows)
    if lost - gained > limit * rows:
        return needed(gained, lost, rows, -limit, alpha)
    one = float(score(np.array([lost / rows]), np.array([gained / rows]), 1, limit)[0])
    if not one < -1e-6 or not -1 < limit < 1:
        return None
    guess = (float(ndtri(alpha)) / one) ** 2
    if limit > 0:
        guess = max(guess, math.log(alpha) / math.log1p(-limit))
    while guess < MANY_ROWS:
        count = math.ceil(guess - 1e-9)
        gains = min(round(gained * count / rows), count // 2)
        losses = min(max(0, gains + math.ceil((lost - gained) * count / rows - 1e-9)), count - gains)
        if p_within(losses, gains, count, limit) <= alpha:
            return count
        guess *= 1.02
    return math.ceil(guess)


def score(lost: np.ndarray, gained: np.ndarray, rows: int, limit: float) -> np.ndarray:
    """Tango's statistic of each pair of counts, negative below `limit`, with the variance that holds at it."""
    middle = (lost + gained) * (1 - limit) - 2 * limit * (rows - lost)
    root = np.sqrt(np.maximum(0.0, np.square(middle) + 8.0 * rows * gained * limit * (1 - limit)))
    rate = np.maximum((middle + root) / (4 * rows), max(0.0, -limit))
    variance = rows * (2 * rate + limit * (1 - limit))
    distance = lost - gained - rows * limit
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(np.abs(distance) < 1e-12, 0.0, distance / np.sqrt(np.maximum(variance, 0.0))))


def _border(gained: np.ndarray, rows: int, limit: float, seen: float) -> np.ndarray:
    """For each number of gains, the most losses whose score is no higher than that seen; -1 where none is."""
    low, high = np.full(len(gained), -1), rows - gained + 1
    while (high - low > 1).any():
        middle = np.maximum((low + high) // 2, 0)
        within = score(middle, gained, rows, limit) <= seen + 1e-9
        open_ = high - low > 1
        low, high = np.where(open_ & within, middle, low), np.where(open_ & ~within, middle, high)
    return low


def _shares(gained: np.ndarray, most_lost: np.ndarray, rows: int, rates: np.ndarray, limit: float) -> np.ndarray:
    """The probability of each number of gains, which are at such rates, with at most so many losses beside it."""
    from scipy.special import bdtr, xlog1py, xlogy

    rest, logs_of = rows - gained, _log_factorials(rows)
    logs = logs_of[rows] - logs_of[gained] - logs_of[rest] + xlogy(gained, rates) + xlog1py(rest, -rates)
    among_rest = np.minimum(1.0, (rates + limit) / np.maximum(1 - rates, np.finfo(float).tiny))
    counts = (logs > NOWHERE) & (most_lost >= 0)
    partly = counts & (most_lost < rest)
    below = counts.astype(np.float64)
    below[partly] = bdtr(most_lost[partly], rest[partly], among_rest[partly])
    return np.asarray(np.exp(logs) * below)


@lru_cache(maxsize=64)
def _log_factorials(most: int) -> np.ndarray:
    """Of 0 to `most`."""
    from scipy.special import gammaln

    return np.asarray(gammaln(np.arange(most + 1) + 1.0))


def _least_within(p: Callable[[float], float], low: float, high: float, alpha: float, width: float) -> float:
    """The least limit that is known to have a p-value of at most `alpha`: between the two, to within `width`, by halving and
    by interpolation, in which the p-value's quantile is nearly a line."""
    from scipy.special import ndtri

    wanted = float(ndtri(alpha))
    ends: list[float | None] = [None, None]
    while high - low > width:
        middle = (low + high) / 2
        if ends[0] is not None and ends[1] is not None and ends[0] > ends[1]:
            line = low + (high - low) * (ends[0] - wanted) / (ends[0] - ends[1])
            middle = min(max(line, low + width / 2), high - width / 2)
        found = p(middle)
        quantile = float(ndtri(min(max(found, 1e-300), 1 - 1e-16)))
        if found <= alpha:
            high, ends = middle, [ends[0], quantile]
        else:
            low, ends = middle, [quantile, ends[1]]
    return high


def _crossing(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where a condition begins to hold between the two, by bisection."""
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _check(lost: int, gained: int, rows: int) -> None:
    if rows < 1 or min(lost, gained) < 0 or lost + gained > rows:
        raise ValueError(f"lost and gained must be 0 or more and together at most {rows} rows, not {lost} and {gained}")
