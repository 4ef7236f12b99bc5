"""The hardware table: one row a target and runtime, with the figures of the best candidate that passed the gate there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from fdpipe.artifacts import Basis, Figure, Measured, Measurement, Outcome, Record, Timing, Trial
from fdpipe.plan import Target


class Column(StrEnum):
    """What is told of each row. The order is the table's."""

    THROUGHPUT = "throughput"
    P50 = "p50"
    P99 = "p99"
    MEMORY = "memory"
    SIZE = "size"
    ENERGY = "energy"
    COST = "cost"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One target and runtime. Without a `candidate`, or where figures are missing, `reason` says why, and `instead` in a few
    words what stands in the candidate's place. `machine` is where its figures were measured."""

    target: str
    runtime: str
    candidate: str | None
    figures: Mapping[Column, Figure]
    machine: str = ""
    reason: str = ""
    instead: str = ""


def rows_of(record: Record, target: Target) -> tuple[Row, ...]:
    """A run's rows, those with a candidate first, in the gate's order; then those of runtimes that brought none."""
    runtimes = dict.fromkeys(trial.candidate.runtime for trial in record.trials)
    found = [_row(record, target, name) for name in runtimes]
    order = {name: number for number, name in enumerate(record.verdict.passed)}
    found.sort(key=lambda row: order.get(row.candidate or "", len(order)))
    skipped = [not_run(target, why, name) for name, why in record.skipped_runtimes.items() if name not in runtimes]
    return (*found, *skipped)


def not_run(target: Target, why: str, runtime: str = "", instead: str = "not measured") -> Row:
    """A target, or one of its runtimes, of which nothing could be measured here, or nothing is left."""
    nothing = _nothing(target, why)
    return Row(target=target.name, runtime=runtime, candidate=None, figures=nothing, reason=why, instead=instead)


def _row(record: Record, target: Target, runtime: str) -> Row:
    trials = [trial for trial in record.trials if trial.candidate.runtime == runtime]
    by_name = {trial.candidate.name: trial for trial in trials}
    best = next((by_name[name] for name in record.verdict.passed if name in by_name), None)
    if best is None:
        instead, why = _why_none(record, trials)
        return not_run(target, why, runtime, instead)
    name, measured = best.candidate.name, record.measured
    own = measured.of(name)
    if own is None:
        why = best.unmeasured or "it was not in the final benchmark"
        figures = {**_nothing(target, why), Column.SIZE: _size(best)}
        return Row(target=target.name, runtime=runtime, candidate=name, figures=figures, reason=f"not measured: {why}")
    speed = _throughput(own, measured)
    lone = min(own.timings, key=lambda one: (one.batch, one.length or 0))
    figures = {
        Column.THROUGHPUT: speed,
        Column.P50: _latency(lone, lone.p50_ms),
        Column.P99: _latency(lone, lone.p99_ms),
        Column.MEMORY: _memory(own),
        Column.SIZE: _size(best),
        Column.ENERGY: measured.energy.get(name) or _missing("J", "it was not asked for"),
        Column.COST: cost(target, speed),
    }
    where = f"{measured.machine.processor}, {measured.machine.cores} cores"
    return Row(target=target.name, runtime=runtime, candidate=name, figures=figures, machine=where)


def cost(target: Target, speed: Figure) -> Figure:
    """What a million rows cost at the target's declared price, where it is busy all the time at this speed."""
    unit = f"{target.currency} per million"
    if target.price_per_hour is None:
        return _missing(unit, f"no price is declared: set target.price_per_hour of {target.name}")
    if not speed.value or speed.basis not in (Basis.MEASURED, Basis.DERIVED):
        return _missing(unit, f"its throughput is not measured: {speed.method}")
    method = f"{target.price_per_hour:g} {target.currency} an hour ÷ ({speed.value:,.0f} rows/s × 3600) × 1,000,000"
    value = target.price_per_hour / (speed.value * 3600) * 1e6
    return Figure(value=value, unit=unit, basis=Basis.DERIVED, method=method)


def _throughput(own: Measurement, measured: Measured) -> Figure:
    best = max(own.timings, key=lambda one: one.rows_per_s)
    method = f"one caller, {_shape(best)}, {measured.threads} threads"
    return Figure(value=best.rows_per_s, unit="rows/s", basis=Basis.MEASURED, method=method)


def _latency(timing: Timing, value_ms: float) -> Figure:
    method = f"one call of the engine, {_shape(timing)}, {timing.calls} calls"
    return Figure(value=value_ms, unit="ms", basis=Basis.MEASURED, method=method)


def _shape(timing: Timing) -> str:
    return f"batch {timing.batch}" + (f", {timing.length} tokens" if timing.length else "")


def _memory(own: Measurement) -> Figure:
    if own.peak_rss_mib is None:
        return _missing("MiB", "benchmark.memory is off")
    method = "peak resident memory of a process that only loads and runs it"
    return Figure(value=own.peak_rss_mib, unit="MiB", basis=Basis.MEASURED, method=method)


def _size(trial: Trial) -> Figure:
    if trial.artifact is None:
        return _missing("MiB", trial.reason or "it was not made")
    return Figure(value=trial.artifact.size_mib, unit="MiB", basis=Basis.MEASURED, method="the model's files")


def _nothing(target: Target, why: str) -> dict[Column, Figure]:
    units = ("rows/s", "ms", "ms", "MiB", "MiB", "J", f"{target.currency} per million")
    return {column: _missing(unit, why) for column, unit in zip(Column, units, strict=True)}


def _missing(unit: str, why: str) -> Figure:
    return Figure(value=None, unit=unit, basis=Basis.NOT_MEASURED, method=why)


def _why_none(record: Record, trials: Iterable[Trial]) -> tuple[str, str]:
    """What became of a runtime's candidates, and why none passed, in the words of the one that came furthest."""
    every = list(trials)
    if unmeasured := next((one.unmeasured for one in every if one.unmeasured), ""):
        return "not measured", f"not measured: {unmeasured}"
    names = {trial.candidate.name for trial in every}
    refused = [one for one in record.verdict.results if one.candidate in names and one.outcome is not Outcome.PASS]
    if refused:
        told = f"{refused[0].candidate}: {refused[0].check}: {refused[0].reason}"
        return "none passed", f"no candidate passed the gate: {told}"
    if kept := [trial for trial in every if trial.artifact is not None]:
        alone = f"runtime={every[0].candidate.runtime} looks at it alone"
        return "no finalist", f"none of {len(kept)} came into the final benchmark: {alone}"
    return "none made", f"no candidate could be made: {every[0].reason}"
