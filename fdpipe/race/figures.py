"""What a course of sittings found, as figures: percentiles, ratios, the noise floor."""

import numpy as np

from fdpipe.artifacts import Interval, Measurement, Pace, Timing
from fdpipe.race.course import Course
from fdpipe.race.intervals import FEWEST_SITTINGS, interval, pace

CALLS_FOR_P999 = 10_000
"""Ten of them are slower than the 99.9th percentile."""


def measurement(course: Course, number: int, size_bytes: int) -> Measurement:
    """One entrant's. One that was lost has no timings."""
    opened = [sitting for sitting in course.sittings if number in sitting.load_ms]
    peaks = [sitting.peak_mib[number] for sitting in opened if number in sitting.peak_mib]
    places = () if number in course.lost else range(len(course.sizes))
    return Measurement(
        candidate=course.names[number],
        timings=tuple(_timing(course, number, place) for place in places),
        load_ms=float(np.median([sitting.load_ms[number] for sitting in opened])) if opened else None,
        first_call_ms=float(np.median([sitting.first_call_ms[number] for sitting in opened])) if opened else None,
        peak_rss_mib=peaks[0] if peaks else None,
        size_bytes=size_bytes,
        processor_ms=_processor_ms(course, number, places[-1]) if places else None,
        left=course.left.get(number, ""),
    )


def percentiles(calls: np.ndarray) -> tuple[float, float, float, float | None]:
    """p50, p90, p99 and p99.9 in milliseconds of calls in nanoseconds; the last only of `CALLS_FOR_P999`."""
    p50, p90, p99, p999 = (float(one) for one in np.quantile(calls, [0.5, 0.9, 0.99, 0.999]) / 1e6)
    return p50, p90, p99, p999 if len(calls) >= CALLS_FOR_P999 else None


def disturbed_share(course: Course) -> float:
    """The share of all entrants' blocks in which others took a core."""
    races = [race for sitting in course.sittings for race in sitting.races.values()]
    return float(np.mean(np.concatenate([blocks for race in races for blocks in race.disturbed.values()])))


def noise(course: Course) -> Interval | None:
    """The baseline's time in its second process divided by that in its first: each sitting's over all sizes. None where
    there was no second process, or not in `FEWEST_SITTINGS`: `why_no_noise` says which."""
    sittings = course.witnessed
    if len(sittings) < FEWEST_SITTINGS:
        return None
    places = range(len(course.sizes))
    logs = [np.mean([np.median(one.races[place].logs(course.twin)) for place in places]) for one in sittings]
    return interval(np.array(logs), course.settings.confidence, course.settings.seed)


def why_no_noise(course: Course) -> str:
    """Why the noise floor was asked for and is not known; empty where it is known, or was not asked for."""
    if course.settings.impression or len(course.witnessed) >= FEWEST_SITTINGS:
        return ""
    reasons = ", ".join(dict.fromkeys(course.without_twin))
    return f"the baseline's second process was lost in {len(course.without_twin)} of {len(course.sittings)} sittings: {reasons}"


def _timing(course: Course, number: int, place: int) -> Timing:
    """The figures of every call that was timed, disturbed ones included: the tail is part of what a caller sees."""
    size, races = course.sizes[place], course.races(number, place)
    calls = np.concatenate([race.calls[number].ravel() for race in races])
    p50, p90, p99, p999 = percentiles(calls)
    ratio = course.ratio(number, place) if number else None
    return Timing(
        batch=size.batch,
        length=size.length,
        calls=len(calls),
        p50_ms=p50,
        p90_ms=p90,
        p99_ms=p99,
        p999_ms=p999,
        rows_per_s=size.batch * 1e9 / float(calls.mean()),
        ratio=ratio,
        blocks=sum(len(race.logs(number)) for race in races),
        pace=pace(ratio, course.settings.precision) if ratio else Pace.ALIKE,
    )


def _processor_ms(course: Course, number: int, place: int) -> float:
    races = course.races(number, place)
    spent = sum(race.processor_ns[number] for race in races) / 1e6
    return spent / sum(race.calls[number].size for race in races) / course.sizes[place].batch
