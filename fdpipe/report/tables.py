"""The run's tables as plain text cells, for a terminal as well as for a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fdpipe.artifacts import Case, CheckResult, Measurement, Outcome, Parity, Record, Timing, Trial
from fdpipe.report import words


class State(StrEnum):
    """What became of a candidate."""

    DEPLOYED = "deployed"
    PROVED = "proved"
    PASSED = "passed"
    REFUSED = "refused"
    NO_FINALIST = "no finalist"
    FAILED = "failed"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, kw_only=True)
class Table:
    """Column names and rows of as many cells; where rows are candidates, `states` says what became of each, and `numbers`
    which of the trials it was, from 1 on."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    states: tuple[State, ...] = ()
    numbers: tuple[int, ...] = ()


FEW = 8
"""So many candidates are shown as they are; of more, those that came to the final benchmark."""


def candidates(record: Record, *, every: bool = True) -> Table:
    """The candidates tried, or the short list of them: quality with its distance to the original, time relative to the
    baseline with its interval for each batch size, milliseconds of one call, size, memory, and what became of each."""
    metrics, sizes = metric_names(record), batch_sizes(record)
    times = [f"time, batch {size}" for size in sizes]
    columns = ("candidate", *metrics, *times, *[f"p50, batch {size}" for size in sizes[:1]], "size", "memory", "outcome")
    shown = list(enumerate(record.trials, start=1)) if every else short_list(record)
    return Table(
        columns=columns,
        rows=tuple(_row(record, trial, metrics, sizes) for _, trial in shown),
        states=tuple(state(record, trial) for _, trial in shown),
        numbers=tuple(number for number, _ in shown),
    )


def short_list(record: Record) -> list[tuple[int, Trial]]:
    """The trials with their numbers: all of them where they are few, else those that came to the final benchmark."""
    numbered = list(enumerate(record.trials, start=1))
    if len(numbered) <= FEW:
        return numbered
    measured = {one.candidate for one in record.measured.measurements}
    return [(number, trial) for number, trial in numbered if trial.candidate.name in measured or number == 1]


def latencies(record: Record) -> Table:
    """Every timing of the final benchmark."""
    columns = ("candidate", "batch", "time", "p50", "p90", "p99", "rows/s", "calls")
    timed = [(one, timing) for one in record.measured.measurements for timing in one.timings]
    states = {trial.candidate.name: state(record, trial) for trial in record.trials}
    return Table(
        columns=columns,
        rows=tuple(_latency(record, one, timing) for one, timing in timed),
        states=tuple(states[one.candidate] for one, _ in timed),
    )


def cases(parity: Parity) -> Table:
    """Every set of rows on which the original and its export were compared; their cosine where answers are tensors."""
    tensors = any(case.cosine is not None for case in parity.cases)
    columns = ("case", "outcome", "rows", "labels that differ", "largest difference", "99 % are below", *["cosine"] * tensors)
    return Table(columns=columns, rows=tuple(_case(case, tensors=tensors) for case in parity.cases))


def state(record: Record, trial: Trial) -> State:
    """What became of a candidate."""
    name = trial.candidate.name
    if trial.unmeasured:
        return State.NOT_MEASURED
    if trial.beaten:
        return State.NO_FINALIST
    if not trial.succeeded:
        return State.FAILED
    if record.release is not None and record.release.candidate.name == name:
        return State.DEPLOYED if record.deployment is not None and record.deployment.url else State.PROVED
    if name in record.verdict.passed:
        return State.PASSED
    return State.REFUSED if refusals(record, trial) else State.NO_FINALIST


def refusals(record: Record, trial: Trial) -> list[CheckResult]:
    """The checks that refused it: those of the verdict or, for who was no finalist, of the first impression."""
    own = [result for result in record.verdict.results if result.candidate == trial.candidate.name]
    return [result for result in own or trial.refusals if result.outcome is not Outcome.PASS]


def metric_names(record: Record) -> list[str]:
    """The metrics' names, the first being the one that matters most."""
    return list(next((trial.evaluation.quality for trial in record.trials if trial.evaluation), {}))


def batch_sizes(record: Record) -> list[int]:
    """The batch sizes that were measured."""
    return [timing.batch for timing in record.measured.measurements[0].timings] if record.measured.measurements else []


def _row(record: Record, trial: Trial, metrics: Sequence[str], sizes: Sequence[int]) -> tuple[str, ...]:
    measurement = measurement_of(record, trial)
    timings = {timing.batch: timing for timing in measurement.timings} if measurement else {}
    bytes_ = words.size(trial.artifact.size_bytes) if trial.artifact else words.DASH
    return (
        trial.candidate.name,
        *[_quality(trial, name) for name in metrics],
        *[_time(record, trial, timings, size) for size in sizes],
        *[words.milliseconds(timings[size].p50_ms) if size in timings else words.DASH for size in sizes[:1]],
        bytes_,
        words.memory(measurement.peak_rss_mib if measurement else None),
        _outcome(record, trial),
    )


def measurement_of(record: Record, trial: Trial) -> Measurement | None:
    """The final benchmark's or, for who was no finalist, the first impression."""
    name = trial.candidate.name
    return record.measured.of(name) or (trial.speed.of(name) if trial.speed else None)


def _quality(trial: Trial, metric: str) -> str:
    if trial.evaluation is None:
        return words.DASH
    value, reference = trial.evaluation.quality.get(metric), trial.evaluation.reference.get(metric)
    return f"{words.figure(value)} ({words.change(value, reference)})"


def _time(record: Record, trial: Trial, timings: Mapping[int, Timing], size: int) -> str:
    if trial.candidate.name == record.measured.baseline:
        return "1 (baseline)"
    return words.ratio(timings[size].ratio) if size in timings else words.DASH


def _outcome(record: Record, trial: Trial) -> str:
    found = state(record, trial)
    if found is State.REFUSED:
        return f"refused: {', '.join(result.check for result in refusals(record, trial))}"
    if found is State.NOT_MEASURED:
        return f"not measured: {trial.unmeasured}"
    return f"failed: {trial.reason}" if found is State.FAILED else found.value


def _case(case: Case, *, tensors: bool) -> tuple[str, ...]:
    if case.refused:
        return case.name, f"not taken: {case.refused}", *[words.DASH] * (4 + tensors)
    if case.unjudged:
        return (
            case.name,
            f"not judged, no row has such values: {case.unjudged}",
            f"{case.rows:,}",
            *[words.DASH] * (3 + tensors),
        )
    outcome = f"alike; {case.excused} within the original's own rounding" if case.excused else "alike"
    cosine = words.DASH if case.cosine is None else f"{case.cosine:.6f}"
    differences = [words.difference(one) for one in (case.largest_difference, case.quantiles.get("p99", 0.0))]
    return case.name, outcome, f"{case.rows:,}", str(case.flips), *differences, *[cosine] * tensors


def _latency(record: Record, measurement: Measurement, timing: Timing) -> tuple[str, ...]:
    ratio = "1 (baseline)" if measurement.candidate == record.measured.baseline else words.ratio(timing.ratio)
    milliseconds = [words.milliseconds(value) for value in (timing.p50_ms, timing.p90_ms, timing.p99_ms)]
    return measurement.candidate, str(timing.batch), ratio, *milliseconds, f"{timing.rows_per_s:,.0f}", f"{timing.calls:,}"
