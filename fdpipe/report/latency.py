"""How long calls take: every timing in a table, and the distributions as pictures."""

from fdpipe.artifacts import Measurement, Record, Timing
from fdpipe.report import words
from fdpipe.report.curves import Curve, Distribution
from fdpipe.report.tables import MOST_NUMBERED, CallKind, Table, call_of, calls, short_list, state, time_beside

QUANTILES = ((0.5, "p50_ms"), (0.9, "p90_ms"), (0.99, "p99_ms"), (0.999, "p999_ms"))


def timings(record: Record) -> Table:
    """Every timing of the final benchmark."""
    columns = ("candidate", "call", "time", "said to be", "p50", "p90", "p99", "p99.9", "rows/s", "calls", "blocks")
    timed = [(one, timing) for one in record.measured.measurements for timing in one.timings]
    states = {trial.candidate.name: state(record, trial) for trial in record.trials}
    return Table(
        columns=columns,
        rows=tuple(_row(record, one, timing) for one, timing in timed),
        states=tuple(states[one.candidate] for one, _ in timed),
    )


def distributions(record: Record) -> tuple[Distribution, ...]:
    """A picture for each kind of call, of the first candidates of the table."""
    numbers = {trial.candidate.name: number for number, trial in short_list(record)[:MOST_NUMBERED]}
    found = [(call, _curves(record, call, numbers)) for call in calls(record)]
    return tuple(
        Distribution(title=str(call).capitalize(), curves=curves, text=_told(record, call)) for call, curves in found if curves
    )


def known(timing: Timing) -> list[tuple[float, float]]:
    """Its quantiles with their milliseconds, as far as they were measured."""
    found = [(share, getattr(timing, name)) for share, name in QUANTILES]
    return [(share, ms) for share, ms in found if ms is not None and ms > 0]


def _curves(record: Record, call: CallKind, numbers: dict[str, int]) -> tuple[Curve, ...]:
    shown = [one for one in record.measured.measurements if one.candidate in numbers]
    timed = [(one, timing) for one in shown for timing in one.timings if call_of(timing) == call]
    return tuple(
        Curve(number=numbers[one.candidate], quantiles=tuple(found)) for one, timing in timed if (found := known(timing))
    )


def _told(record: Record, call: CallKind) -> str:
    said = [
        f"{one.candidate} {', '.join(f'p{share * 100:g} {ms:.3g}' for share, ms in known(timing))}"
        for one in record.measured.measurements
        for timing in one.timings
        if call_of(timing) == call
    ]
    return f"milliseconds of one call, {call}: {'; '.join(said)}"


def _row(record: Record, measurement: Measurement, timing: Timing) -> tuple[str, ...]:
    is_baseline = measurement.candidate == record.measured.baseline
    milliseconds = [
        words.DASH if value is None else words.milliseconds(value)
        for value in (timing.p50_ms, timing.p90_ms, timing.p99_ms, timing.p999_ms)
    ]
    return (
        measurement.candidate,
        str(call_of(timing)),
        time_beside(record, measurement.candidate, timing),
        words.DASH if is_baseline else timing.pace.value,
        *milliseconds,
        f"{timing.rows_per_s:,.0f}",
        f"{timing.calls:,}",
        f"{timing.blocks:,}" if timing.blocks else words.DASH,
    )
