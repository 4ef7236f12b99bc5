"""What the pictures show: the finalists' quality and latency at each batch size."""

from fdpipe.artifacts import Measurement, Record
from fdpipe.report import words
from fdpipe.report.picture import Panel, Point
from fdpipe.report.tables import batch_sizes, metric_names


def panels(record: Record) -> tuple[Panel, ...]:
    """One panel for each batch size; none where no candidate has both figures."""
    metric = next(iter(metric_names(record)), None)
    found = [_panel(record, metric, size) for size in batch_sizes(record)] if metric else []
    return tuple(panel for panel in found if panel.points)


def _panel(record: Record, metric: str, size: int) -> Panel:
    points = _points(record, metric, size)
    told = "; ".join(
        f"{record.trials[point.number - 1].candidate.name} {words.figure(point.quality)}, {words.milliseconds(point.ms)}"
        for point in points
    )
    text = f"{metric} and latency at batch {size}: {told}"
    return Panel(batch=size, metric=metric, points=points, reference=_reference(record, metric), text=text)


def _points(record: Record, metric: str, size: int) -> tuple[Point, ...]:
    found = []
    for number, trial in enumerate(record.trials, start=1):
        measurement = record.measured.of(trial.candidate.name)
        quality = trial.evaluation.quality.get(metric) if trial.evaluation else None
        if measurement is not None and quality is not None:
            low, middle, high = _latency(record, measurement, size)
            found.append(Point(number=number, low_ms=low, ms=middle, high_ms=high, quality=quality))
    return tuple(found)


def _latency(record: Record, measurement: Measurement, size: int) -> tuple[float, float, float]:
    """The baseline's median, times the paired ratio: what the intervals are of."""
    own = next(timing for timing in measurement.timings if timing.batch == size)
    first = next(timing for timing in record.measured.measurements[0].timings if timing.batch == size)
    if own.ratio is None:
        return own.p50_ms, own.p50_ms, own.p50_ms
    return first.p50_ms * own.ratio.low, first.p50_ms * own.ratio.middle, first.p50_ms * own.ratio.high


def _reference(record: Record, metric: str) -> float | None:
    """The original's figure."""
    return next((trial.evaluation.reference.get(metric) for trial in record.trials if trial.evaluation), None)
