"""The last round: one candidate for few rows and another for many, where none is the best for all."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import ceil
from statistics import geometric_mean, median

from fdpipe.artifacts import Candidate, Interval, Trial
from fdpipe.search._standing import best, by_batch, is_right
from fdpipe.space import Proposal, Space

AS_IT_IS = Interval(low=1.0, middle=1.0, high=1.0)
"""The baseline beside itself."""
BETTER = 0.97
"""Together they must take at most this share of the time of the best alone, and each part at most this share of that of the
one before it at the batch size from which on it is asked."""


def by_rows(space: Space, trials: Sequence[Trial]) -> list[Proposal]:
    """The fastest at each batch size that was measured, as one candidate, where a runtime can open such a one."""
    able = [one for one in trials[1:] if is_right(one) and not one.candidate.parts and not one.unmeasured]
    if not space.by_rows or not able:
        return []
    times = {one.candidate.name: by_batch(one) for one in able}
    times[trials[0].candidate.name] = dict.fromkeys(space.batch_sizes, AS_IT_IS)
    candidates = {one.candidate.name: one.candidate for one in (trials[0], *able)}
    parts: list[tuple[int, str]] = []
    ratios: list[float] = []
    for batch in sorted(set(space.batch_sizes)):
        here = {name: found[batch] for name, found in times.items() if batch in found}
        fastest = min(here, key=lambda name: here[name].middle)
        if not parts or parts[-1][1] not in here or _surely_faster(here[fastest], here[parts[-1][1]]):
            parts.append((batch if parts else 1, fastest))
        ratios.append(here[parts[-1][1]].middle)
    if len(parts) == 1 or geometric_mean(ratios) > BETTER * best(trials):
        return []
    smaller = {upper: lower for lower, upper in pairwise(sorted(set(space.batch_sizes)))}
    baseline_ms = _baseline_ms(able)
    for place, (rows, name) in enumerate(parts[1:], start=1):
        before = times[parts[place - 1][1]]
        parts[place] = (_crossing(before, times[name], baseline_ms, smaller[rows], rows), name)
    told = ", ".join(f"from {rows} rows on {name}" for rows, name in parts)
    session = space.runtimes.get(space.by_rows, ({},))[0]
    chosen = tuple((rows, candidates[name]) for rows, name in parts)
    candidate = Candidate(runtime=space.by_rows, recipe="none", session=session, parts=chosen)
    return [Proposal(candidate=candidate, why=f"none is the fastest for all: {told}")]


Ratios = Mapping[int, Interval]
"""By batch size, a candidate's time divided by the baseline's."""


def _crossing(before: Ratios, after: Ratios, baseline_ms: Mapping[int, float], lower: int, upper: int) -> int:
    """From how many rows on `after` is asked, which was found the faster at `upper` rows and not yet at `lower`.

    Between two sizes a call's time is taken to grow evenly with its rows, and the crossing is where the slowest that `after`
    may be meets the fastest that `before` may be: rather too late than too early, and at `upper` where that does not say it.
    """
    if not all(size in found for size in (lower, upper) for found in (before, after, baseline_ms)):
        return upper
    behind, ahead = ((before[size].low - after[size].high) * baseline_ms[size] for size in (lower, upper))
    if not behind < 0 < ahead:
        return upper
    return ceil(lower + (upper - lower) * behind / (behind - ahead))


def _baseline_ms(trials: Sequence[Trial]) -> dict[int, float]:
    """The baseline's typical call by batch size, from all impressions."""
    found: dict[int, list[float]] = {}
    for measured in (trial.speed for trial in trials):
        own = measured.of(measured.baseline) if measured else None
        for timing in own.timings if own else ():
            found.setdefault(timing.batch, []).append(timing.p50_ms)
    return {batch: median(times) for batch, times in found.items()}


def _surely_faster(one: Interval, other: Interval) -> bool:
    """By more than `BETTER`, and each beyond what the other may be."""
    return one.middle < BETTER * other.middle and one.middle < other.low and one.high < other.middle
