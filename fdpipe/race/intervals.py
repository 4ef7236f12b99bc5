"""What the log ratios of several sittings say: a median with its interval, and whether that decides anything."""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np

from fdpipe.artifacts import Interval, Pace

FEWEST_SITTINGS = 5
"""A benchmark has at least these, even where its budget does not suffice."""
OPENING_SPREAD = 0.04
"""The least standard deviation of a sitting's log ratio, for where there are too few of them to see it: chosen, from 0.04 to
0.24 between two openings of one model that were measured on two cores under a load of seven."""
RESAMPLES = 10_000
HOPELESS = 1.1
"""A candidate is out of it that surely takes so many times as long as the fastest, at every size."""


def interval(logs: np.ndarray, confidence: float, seed: int) -> Interval:
    """The median of the sittings' log ratios, as a ratio, with its bootstrap interval. Sittings are the blocks that are drawn:
    what is measured in one of them shares where its memory came to lie.

    A percentile interval of so few is too narrow; each end is moved away from the median as Student's t is wider than the
    normal distribution (the expanded percentile interval of Hesterberg 2015, "What Teachers Should Know About the
    Bootstrap", The American Statistician 69). Of fewer than `FEWEST_SITTINGS` a smoothed bootstrap (Silverman & Young 1987),
    in which each draw has the spread that is known of openings: two figures that happen to agree are not exact.
    """
    random = np.random.default_rng(seed)
    count, middle, upper = len(logs), float(np.median(logs)), (1 + confidence) / 2
    draws = random.choice(logs, size=(RESAMPLES, count))
    expansion = 1.0
    if count < FEWEST_SITTINGS:
        draws = draws + random.normal(0.0, OPENING_SPREAD, draws.shape)
    else:
        from scipy.special import stdtrit

        expansion = math.sqrt(count / (count - 1)) * float(stdtrit(count - 1, upper)) / NormalDist().inv_cdf(upper)
    ends = np.quantile(np.median(draws, axis=1), [1 - upper, upper])
    low, high = (math.exp(middle + expansion * (float(end) - middle)) for end in ends)
    return Interval(low=low, middle=math.exp(middle), high=high)


def pace(ratio: Interval, precision: float) -> Pace:
    """What the interval says of the candidate beside the baseline."""
    if ratio.high < 1:
        return Pace.FASTER
    if ratio.low > 1:
        return Pace.SLOWER
    return Pace.ALIKE if is_narrow(ratio, precision) else Pace.TOO_NOISY


def is_narrow(ratio: Interval, precision: float) -> bool:
    """Whether it is known well enough, whatever it is."""
    return ratio.high <= ratio.low * (1 + precision)


def undecided(ratios: Mapping[int, Sequence[Interval]], precision: float) -> list[int]:
    """Of the candidates by number, each with its ratio at every size, those of which more is to be known: a ratio that is not
    yet narrow, unless it is surely above 1 and another is surely faster."""
    found = []
    for number, own in ratios.items():
        for size, ratio in enumerate(own):
            others = [every[size].high for other, every in ratios.items() if other != number]
            behind = ratio.low > 1 and ratio.low > min([1.0, *others])
            if not (behind or is_narrow(ratio, precision)):
                found.append(number)
                break
    return found


def hopeless(ratios: Mapping[int, Sequence[Interval]]) -> dict[int, int | None]:
    """Of the candidates by number those that are out of it, at most half of them and the slowest first, each with the one
    that is surely faster at every size; None is the baseline. Of each it is known on which side of the baseline it is."""
    found: dict[int, int | None] = {}
    for number, own in ratios.items():
        leaders: dict[int | None, Sequence[Interval]] = {None: [ONE] * len(own)}
        leaders |= {other: every for other, every in ratios.items() if other != number}
        ahead = [name for name, every in leaders.items() if _is_far_ahead(every, own)]
        if ahead and all(ratio.high < 1 or ratio.low > 1 for ratio in own):
            found[number] = min(ahead, key=lambda name: _overall(leaders[name]))
    slowest = sorted(found, key=lambda number: -_overall(ratios[number]))
    return {number: found[number] for number in slowest[: math.ceil(len(ratios) / 2)]}


ONE = Interval(low=1.0, middle=1.0, high=1.0)
"""The baseline beside itself."""


def _is_far_ahead(one: Sequence[Interval], other: Sequence[Interval]) -> bool:
    return all(slower.low > HOPELESS * faster.high for faster, slower in zip(one, other, strict=True))


def _overall(ratios: Sequence[Interval]) -> float:
    return sum(math.log(ratio.middle) for ratio in ratios)
