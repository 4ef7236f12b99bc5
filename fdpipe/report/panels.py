"""What the pictures of quality show: over latency in each kind of call, over size and over memory, with the front."""

import math
from collections.abc import Sequence

from fdpipe.artifacts import Record, Timing, Trial
from fdpipe.report import words
from fdpipe.report.findings import quality_interval
from fdpipe.report.pareto import Panel, Point
from fdpipe.report.tables import MOST_NUMBERED, CallKind, call_of, calls, measurement_of, metric_names, short_list


def panels(record: Record, *, higher_is_better: bool = True) -> tuple[Panel, ...]:
    """One panel for each kind of call, one for the size and one for the memory; those without a figure are left out."""
    metric = next(iter(metric_names(record)), None)
    if metric is None:
        return ()
    bounds = {
        trial.candidate.name: quality_interval(record, trial, metric, higher_is_better=higher_is_better)
        for trial in record.trials
    }
    scored = [
        (number, trial, quality, bounds[trial.candidate.name] or (None, None))
        for number, trial, quality in _scored(record, metric)
    ]
    costs = [
        (str(call).capitalize(), "ms a call", _noise(record, call), _latencies(record, scored, call)) for call in calls(record)
    ]
    costs += [
        ("Size", "MiB", None, _sizes(record, scored)),
        ("Memory", "MiB, the whole process", None, _memories(record, scored)),
    ]
    return tuple(
        Panel(
            title=title, axis=axis, metric=metric, points=points, front=front(points, higher_is_better=higher_is_better),
            reference=_reference(record, metric), text=_told(record, metric, title, axis, points), noise=noise,
        )
        for title, axis, noise, points in costs
        if points
    )  # fmt: skip


def front(points: Sequence[Point], *, higher_is_better: bool) -> tuple[int, ...]:
    """The numbers of the points than which no other is at least as good in both and better in one."""
    sign = 1 if higher_is_better else -1

    def beaten(one: Point, other: Point) -> bool:
        better = (one.middle - other.middle, sign * (other.quality - one.quality))
        return min(better) >= 0 and max(better) > 0

    return tuple(one.number for one in points if not any(beaten(one, other) for other in points))


Scored = tuple[int, Trial, float, tuple[float | None, float | None]]
"""A trial's number, the trial, its quality and the bounds of that."""


def _told(record: Record, metric: str, title: str, axis: str, points: Sequence[Point]) -> str:
    said = "; ".join(
        f"{record.trials[point.number - 1].candidate.name} {words.figure(point.quality)}, {point.middle:.3g}"
        for point in points
        if point.is_finalist
    )
    return f"{metric} over {title.lower()}, in {axis}: {said}"


def _latencies(record: Record, scored: Sequence[Scored], call: CallKind) -> tuple[Point, ...]:
    """The baseline's median, times the paired ratio: what the intervals are of."""
    base = _baseline(record, call)
    points = []
    for one in scored:
        measurement = measurement_of(record, one[1])
        timing = next((found for found in measurement.timings if call_of(found) == call), None) if measurement else None
        if timing is not None:
            points.append(_point(record, one, _interval(base, timing)))
    return tuple(points)


def _baseline(record: Record, call: CallKind) -> Timing | None:
    own = record.measured.of(record.measured.baseline)
    return next((timing for timing in own.timings if call_of(timing) == call), None) if own else None


def _noise(record: Record, call: CallKind) -> tuple[float, float] | None:
    """Between which milliseconds the baseline lies where only the machine differs; None where no pair of it was run."""
    noise = record.measured.health.noise if record.measured.health else None
    if noise is None or not (math.isfinite(noise.low) and math.isfinite(noise.high)):
        return None
    base = _baseline(record, call)
    return (base.p50_ms * min(1.0, noise.low), base.p50_ms * max(1.0, noise.high)) if base else None


def _interval(base: Timing | None, timing: Timing) -> tuple[float, float, float]:
    if timing.ratio is None or base is None:
        return timing.p50_ms, timing.p50_ms, timing.p50_ms
    return base.p50_ms * timing.ratio.low, base.p50_ms * timing.ratio.middle, base.p50_ms * timing.ratio.high


def _sizes(record: Record, scored: Sequence[Scored]) -> tuple[Point, ...]:
    return tuple(_point(record, one, (one[1].artifact.size_mib,) * 3) for one in scored if one[1].artifact is not None)


def _memories(record: Record, scored: Sequence[Scored]) -> tuple[Point, ...]:
    found = [(one, record.measured.of(one[1].candidate.name)) for one in scored]
    return tuple(
        _point(record, one, (measurement.peak_rss_mib,) * 3)
        for one, measurement in found
        if measurement is not None and measurement.peak_rss_mib is not None
    )


def _scored(record: Record, metric: str) -> list[tuple[int, Trial, float]]:
    """The trials with the metric's figure."""
    found = [(number, trial, trial.evaluation) for number, trial in enumerate(record.trials, start=1)]
    scored = [(number, trial, one.quality.get(metric)) for number, trial, one in found if one is not None]
    return [(number, trial, quality) for number, trial, quality in scored if quality is not None]


def _point(record: Record, scored: Scored, cost: tuple[float, float, float]) -> Point:
    number, trial, quality, (quality_low, quality_high) = scored
    low, middle, high = cost
    return Point(
        number=number, low=low, middle=middle, high=high, quality=quality, quality_low=quality_low, quality_high=quality_high,
        is_finalist=record.measured.of(trial.candidate.name) is not None,
        is_numbered=number in {turn for turn, _ in short_list(record)[:MOST_NUMBERED]},
    )  # fmt: skip


def _reference(record: Record, metric: str) -> float | None:
    """The original's figure."""
    return next((trial.evaluation.reference.get(metric) for trial in record.trials if trial.evaluation), None)
