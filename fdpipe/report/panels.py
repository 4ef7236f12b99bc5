"""What the pictures show: quality over latency at each batch size, over size and over memory, with the front."""

from collections.abc import Sequence

from fdpipe.artifacts import Record, Timing, Trial
from fdpipe.report import words
from fdpipe.report.picture import Panel, Point
from fdpipe.report.tables import batch_sizes, measurement_of, metric_names

MEGABYTE = 1e6


def panels(record: Record, *, higher_is_better: bool = True) -> tuple[Panel, ...]:
    """One panel for each batch size, one for the size and one for the memory; those without a figure are left out."""
    metric = next(iter(metric_names(record)), None)
    if metric is None:
        return ()
    costs = [(f"Batch {size}", "ms a call", _latencies(record, metric, size)) for size in batch_sizes(record)]
    costs += [("Size", "MB", _sizes(record, metric)), ("Memory", "MiB, the whole process", _memories(record, metric))]
    return tuple(
        Panel(
            title=title, axis=axis, metric=metric, points=points, front=front(points, higher_is_better=higher_is_better),
            reference=_reference(record, metric), text=_told(record, metric, title, axis, points),
        )
        for title, axis, points in costs
        if points
    )  # fmt: skip


def front(points: Sequence[Point], *, higher_is_better: bool) -> tuple[int, ...]:
    """The numbers of the points than which no other is at least as good in both and better in one."""
    sign = 1 if higher_is_better else -1

    def beaten(one: Point, other: Point) -> bool:
        better = (one.middle - other.middle, sign * (other.quality - one.quality))
        return min(better) >= 0 and max(better) > 0

    return tuple(one.number for one in points if not any(beaten(one, other) for other in points))


def _told(record: Record, metric: str, title: str, axis: str, points: Sequence[Point]) -> str:
    said = "; ".join(
        f"{record.trials[point.number - 1].candidate.name} {words.figure(point.quality)}, {point.middle:.3g}"
        for point in points
        if point.is_finalist
    )
    return f"{metric} over {title.lower()}, in {axis}: {said}"


def _latencies(record: Record, metric: str, size: int) -> tuple[Point, ...]:
    """The baseline's median, times the paired ratio: what the intervals are of."""
    base = next(timing for timing in record.measured.measurements[0].timings if timing.batch == size)
    points = []
    for number, trial, quality in _scored(record, metric):
        measurement = measurement_of(record, trial)
        timing = next((one for one in measurement.timings if one.batch == size), None) if measurement else None
        if timing is not None:
            points.append(_point(record, number, trial, _interval(base, timing), quality))
    return tuple(points)


def _interval(base: Timing, timing: Timing) -> tuple[float, float, float]:
    if timing.ratio is None:
        return timing.p50_ms, timing.p50_ms, timing.p50_ms
    return base.p50_ms * timing.ratio.low, base.p50_ms * timing.ratio.middle, base.p50_ms * timing.ratio.high


def _sizes(record: Record, metric: str) -> tuple[Point, ...]:
    return tuple(
        _point(record, number, trial, (trial.artifact.size_bytes / MEGABYTE,) * 3, quality)
        for number, trial, quality in _scored(record, metric)
        if trial.artifact is not None
    )


def _memories(record: Record, metric: str) -> tuple[Point, ...]:
    found = [(scored, record.measured.of(scored[1].candidate.name)) for scored in _scored(record, metric)]
    return tuple(
        _point(record, number, trial, (measurement.peak_rss_mib,) * 3, quality)
        for (number, trial, quality), measurement in found
        if measurement is not None and measurement.peak_rss_mib is not None
    )


def _scored(record: Record, metric: str) -> list[tuple[int, Trial, float]]:
    """The trials with the metric's figure."""
    found = [(number, trial, trial.evaluation) for number, trial in enumerate(record.trials, start=1)]
    scored = [(number, trial, one.quality.get(metric)) for number, trial, one in found if one is not None]
    return [(number, trial, quality) for number, trial, quality in scored if quality is not None]


def _point(record: Record, number: int, trial: Trial, cost: tuple[float, float, float], quality: float) -> Point:
    low, middle, high = cost
    is_finalist = record.measured.of(trial.candidate.name) is not None
    return Point(number=number, low=low, middle=middle, high=high, quality=quality, is_finalist=is_finalist)


def _reference(record: Record, metric: str) -> float | None:
    """The original's figure."""
    return next((trial.evaluation.reference.get(metric) for trial in record.trials if trial.evaluation), None)
