"""What the figures stand on: where everything comes from, what ran and for how long, what calibration found."""

from collections.abc import Sequence
from dataclasses import dataclass

from fdpipe.artifacts import Ranges, Record
from fdpipe.plan import Plan
from fdpipe.progress import Event
from fdpipe.report import words
from fdpipe.report.stages import StageRow, stage_rows
from fdpipe.report.tables import Table

WIDEST = 12
"""So many of the tensors with the widest ranges are shown."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A step with its time; `width` is its share of the longest one, in percent."""

    row: StageRow
    time: str
    width: float


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """One calibration: the recipe that it was made for, what it was, and the ranges that it found, the inputs first."""

    recipe: str
    text: str
    ranges: Table


def calibrations(record: Record) -> list[Calibrated]:
    """Each distinct calibration under its method: its rows by digest, and how much of the evaluation data lies inside."""
    found: dict[str, Calibrated] = {}
    for trial in record.trials:
        if (ranges := trial.ranges) is not None:
            inside = "" if ranges.coverage is None else f"; {ranges.coverage:.2%} of the evaluation values lie inside"
            digest = words.digest(ranges.data_digest)
            told = f"{ranges.method}, {ranges.rows:,} rows {digest}, {len(ranges.values)} tensors{inside}"
            found.setdefault(told, Calibrated(recipe=trial.candidate.recipe, text=told, ranges=_ranges(ranges)))
    return list(found.values())


def proof(record: Record) -> list[tuple[str, str]]:
    """What the started service answered, and how fast it was; nothing where none was started."""
    found = record.proof
    if found is None:
        return []
    loads = [(one.offered, f"{one.requests_per_s:,.0f} requests/s, p50 {_ms(one.from_intended.p50_ms)}") for one in found.loads]
    return [
        ("requests", f"{found.requests:,}"),
        ("wrong answers", f"{found.wrong:,}"),
        ("protocols", ", ".join(found.protocols)),
        *loads,
        *([("the benchmark promised", _ms(found.promised_ms))] if found.promised_ms is not None else []),
        *([("beside what was expected", found.told)] if found.told else []),
        *([("a request without inference", _ms(found.bare_ms))] if found.bare_ms is not None else []),
        *([("note", found.note)] if found.note else []),
        *([("refused", found.refused)] if found.refused else []),
    ]


def bars(events: Sequence[Event]) -> list[Bar]:
    """Every step that ran."""
    rows = stage_rows(events)
    longest = max((row.seconds or 0.0 for row in rows), default=0.0) or 1.0
    return [
        Bar(
            row=row,
            time=words.DASH if row.seconds is None else words.seconds(row.seconds),
            width=100 * (row.seconds or 0) / longest,
        )
        for row in rows
    ]


def provenance(record: Record, plan: Plan) -> list[tuple[str, list[tuple[str, str]]]]:
    """Where everything comes from, in groups."""
    machine = record.measured.machine
    rows = [one for one in (record.data.training, record.data.calibration, record.data.evaluation) if one is not None]
    model = [
        ("registered as", f"{record.model.name} version {record.model.version}"),
        ("asked for", plan.model),
        ("content", record.model.digest),
        ("ONNX export", record.baseline.artifact.digest),
    ]
    run = [
        ("plan", plan.digest),
        ("release", record.release.digest if record.release else words.DASH),
        ("incumbent", record.incumbent or words.DASH),
    ]
    where = [
        ("processor", machine.processor),
        ("cores", f"{machine.cores}, of which {record.measured.threads} threads were used"),
        ("memory", f"{machine.memory_gib:g} GiB"),
        ("system", machine.system),
        ("instructions", ", ".join(machine.instruction_sets) or words.DASH),
        ("fingerprint", machine.fingerprint),
    ]
    return [
        ("Model", model),
        ("Data", [(one.role, f"{one.count:,} rows, {one.digest}") for one in rows]),
        ("Run", run),
        ("Machine", where),
        ("Versions", _versions(record)),
    ]


def _versions(record: Record) -> list[tuple[str, str]]:
    found = [record.baseline.provenance, record.measured.provenance]
    found += [trial.evaluation.provenance for trial in record.trials if trial.evaluation]
    return sorted({name: version for one in found if one for name, version in one.versions.items()}.items())


def _ranges(ranges: Ranges) -> Table:
    """The inputs with what of the evaluation values lies inside, then the tensors with the widest ranges."""
    inputs = [
        (name, *_ends(low, high), _share(ranges.coverage_by_input.get(name))) for name, (low, high) in ranges.inputs.items()
    ]
    inner = sorted(
        ((name, ends) for name, ends in ranges.values.items() if name not in ranges.inputs),
        key=lambda one: one[1][0] - one[1][1],
    )
    tensors = [(name, *_ends(low, high), words.DASH) for name, (low, high) in inner[:WIDEST]]
    return Table(columns=("tensor", "low", "high", "evaluation values inside"), rows=(*inputs, *tensors))


def _ms(value: float | None) -> str:
    return words.DASH if value is None else words.milliseconds(value)


def _ends(low: float, high: float) -> tuple[str, str]:
    return f"{low:.4g}", f"{high:.4g}"


def _share(value: float | None) -> str:
    return words.DASH if value is None else f"{value:.2%}"
