"""What the history of benchmarks says of a model: what each run chose, and whether it has become slower since the last release.

Times of different days on a shared machine differ by more than what a release changes. So what is compared is a candidate's
time divided by that of the baseline of its own benchmark, which ran interleaved with it; times themselves are information.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from fdpipe.artifacts import Interval, Machine, Timing
from fdpipe.history import Fate, PastMeasurement

ABOVE = 0.05
"""A smaller share is no regression, even where the intervals do not meet: they cover one benchmark and not another day's."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """The newest choice beside the last release before it: its relative time divided by that one's, and that of the median time
    of a call with the smallest batch, which is information. `reason` says why it is a regression or none, or cannot be told."""

    before: PastMeasurement
    after: PastMeasurement
    relative: float | None
    p50: float | None
    regressed: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class Series:
    """What the runs for one target chose on one machine, the oldest first. `change` is None where there is no release before
    the newest."""

    target: str
    machine: Machine
    entries: tuple[PastMeasurement, ...]
    change: Change | None


def series_of(entries: Sequence[PastMeasurement], above: float = ABOVE) -> tuple[Series, ...]:
    """One for each target and machine, of what was deployed or would have been; figures of two machines never meet."""
    chosen = [one for one in entries if one.standing is not Fate.MEASURED]
    chosen.sort(key=lambda one: (one.target, one.machine.fingerprint, one.time))
    groups = [tuple(group) for _, group in groupby(chosen, key=lambda one: (one.target, one.machine.fingerprint))]
    return tuple(
        Series(target=group[0].target, machine=group[0].machine, entries=group, change=_change(group, above))
        for group in groups
    )


def _change(group: Sequence[PastMeasurement], above: float) -> Change | None:
    after = group[-1]
    before = next((one for one in reversed(group[:-1]) if one.standing is Fate.DEPLOYED), None)
    return compare(before, after, above) if before is not None else None


def compare(before: PastMeasurement, after: PastMeasurement, above: float = ABOVE) -> Change:
    """A regression is flagged only where the two intervals do not meet, and the relative time grew by more than `above`."""
    old, new = _timings(before), _timings(after)
    both = [shape for shape in old if shape in new]
    if not both:
        return _nothing(before, after, None, "no batch size was measured both times")
    lone = min(both)
    p50 = new[lone].p50_ms / old[lone].p50_ms
    if before.threads != after.threads:
        return _nothing(before, after, p50, f"they ran with {before.threads} and {after.threads} threads")
    first, second = _overall(before, old, both), _overall(after, new, both)
    if first is None or second is None:
        return _nothing(before, after, p50, "one of them has no ratio to its baseline")
    relative = second.middle / first.middle
    apart, more = second.low > first.high, relative - 1 > above
    if apart and more:
        reason = f"its relative time grew by {relative - 1:.1%}, more than {above:.0%}, and the intervals do not meet"
    elif relative <= 1:
        reason = "its relative time did not grow"
    elif not apart:
        reason = f"its relative time grew by {relative - 1:.1%}, and the intervals meet"
    else:
        reason = f"its relative time grew by {relative - 1:.1%}, no more than {above:.0%}"
    return Change(before=before, after=after, relative=relative, p50=p50, regressed=apart and more, reason=reason)


def _nothing(before: PastMeasurement, after: PastMeasurement, p50: float | None, why: str) -> Change:
    return Change(before=before, after=after, relative=None, p50=p50, regressed=False, reason=f"they cannot be compared: {why}")


Shape = tuple[int, int]
"""A batch size and a sequence length, which is 0 where rows were measured as they are."""


def _timings(entry: PastMeasurement) -> dict[Shape, Timing]:
    return {(one.batch, one.length or 0): one for one in entry.measurement.timings}


def _overall(entry: PastMeasurement, timings: dict[Shape, Timing], shapes: Sequence[Shape]) -> Interval | None:
    """As `Measured.overall`, over what was measured both times; the baseline's is 1."""
    if entry.candidate == entry.baseline:
        return Interval(low=1.0, middle=1.0, high=1.0)
    ratios = [ratio for shape in shapes if (ratio := timings[shape].ratio) is not None]
    if len(ratios) < len(shapes):
        return None
    return Interval.mean(ratios)


BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float]) -> str:
    """One bar a value, from nothing to the largest: the height is the figure itself, not its distance from the smallest."""
    top = max(values, default=0.0)
    return "".join(BARS[min(len(BARS) - 1, int(value / top * len(BARS)))] for value in values) if top > 0 else ""
