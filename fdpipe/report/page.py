"""The report as one HTML page: the verdict first, then why."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from fdpipe.artifacts import CheckResult, Outcome, Parity, Record, Trial
from fdpipe.plan import Plan
from fdpipe.progress import Event
from fdpipe.report import searching, tables, words
from fdpipe.report.panels import panels
from fdpipe.report.picture import draw
from fdpipe.report.stages import StageRow, stage_rows
from fdpipe.store import Store


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The verdict: `kind` is deployed, proved (packaged alone, too) or rejected; `then` says what became of the service."""

    kind: str
    title: str
    text: str
    then: str
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One figure with its name, and what it is to be compared with."""

    name: str
    value: str
    beside: str


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A step with its time; `width` is its share of the longest one, in percent."""

    row: StageRow
    time: str
    width: float


def render(record: Record, plan: Plan, events: Sequence[Event], store: Store) -> str:
    """The page's HTML; it refers to nothing outside itself."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    folder = files("fdpipe.report") / "templates"
    template = environment.from_string((folder / "report.html.j2").read_text(encoding="utf-8"))
    return template.render(
        style=Markup((folder / "report.css").read_text(encoding="utf-8")),
        pictures=[Markup(svg) for svg in _pictures(record, plan, store)],
        **contents(record, plan, events),
    )


def _pictures(record: Record, plan: Plan, store: Store) -> tuple[str, ...]:
    shown = panels(record, higher_is_better=_better(record, plan) == "Up")
    return draw(store, shown).svgs if shown else ()


def contents(record: Record, plan: Plan, events: Sequence[Event]) -> dict[str, Any]:
    """What the template shows."""
    return {
        "record": record,
        "title": f"{record.model.name} on {record.target}",
        "headline": headline(record),
        "facts": facts(record),
        "better": _better(record, plan),
        "candidates": tables.candidates(record, every=False),
        "all_candidates": tables.candidates(record) if len(record.trials) > tables.FEW else None,
        "story": searching.story(record),
        "losses": searching.losses(record),
        "diagnoses": searching.diagnoses(record),
        "unsupported": searching.unsupported(record),
        "latencies": tables.latencies(record),
        "checks": _by_candidate(record),
        "untried": _untried(record),
        "certificate": _certificate(record),
        "cases": tables.cases(record.baseline.parity),
        "calibration": searching.calibrations(record),
        "bars": _bars(events),
        "provenance": _provenance(record, plan),
        "failure": Outcome.FAIL,
        "passed": Outcome.PASS,
    }


def headline(record: Record) -> Headline:
    """What came of it."""
    if record.rejection is not None:
        stays = (
            f"Release {words.digest(record.incumbent)} keeps running, untouched."
            if record.incumbent
            else "Nothing was deployed."
        )
        return Headline(kind="rejected", title="No release", text=record.rejection.reason, then=stays)
    name = record.release.candidate.name if record.release else ""
    deployment = record.deployment
    if deployment is None:
        proved = record.proof.reason if record.proof else "not proved"
        return Headline(kind="proved", title=name, text=record.verdict.reason, then=f"Packaged, not deployed: {proved}.")
    if not deployment.url:
        return Headline(kind="proved", title=name, text=record.verdict.reason, then="Dry run: proved, and not deployed.")
    then = "Deployed and answering." if deployment.changed else "This very release was running already."
    return Headline(kind="deployed", title=name, text=record.verdict.reason, then=then, url=deployment.url)


def facts(record: Record) -> list[Fact]:
    """The released candidate's figures, each beside what it replaces; of a rejection there are none."""
    trial = _released(record)
    measurement = record.measured.of(trial.candidate.name) if trial else None
    if trial is None or trial.evaluation is None or measurement is None:
        return []
    quality = [
        Fact(name=name, value=words.figure(value), beside=f"original {words.figure(trial.evaluation.reference.get(name))}")
        for name, value in trial.evaluation.quality.items()
    ]
    first = measurement.timings[0]
    latency = Fact(
        name=f"p50, batch {first.batch}",
        value=words.milliseconds(first.p50_ms),
        beside=f"p99 {words.milliseconds(first.p99_ms)}",
    )
    size = Fact(name="model size", value=words.size(measurement.size_bytes), beside=_smaller(record, measurement.size_bytes))
    return [*quality[:2], _speed(record, trial), latency, size]


def _released(record: Record) -> Trial | None:
    if record.release is None:
        return None
    return next((trial for trial in record.trials if trial.candidate == record.release.candidate), None)


def _speed(record: Record, trial: Trial) -> Fact:
    ratio = record.measured.overall(trial.candidate.name)
    if ratio is None:
        return Fact(name="speed", value="1×", beside="the baseline itself")
    interval = f"{1 / ratio.high:.2f}–{1 / ratio.low:.2f}× the baseline's"
    return Fact(name="speed", value=words.times(1 / ratio.middle), beside=interval)


def _smaller(record: Record, size: int) -> str:
    before = record.baseline.artifact.size_bytes
    return "as exported" if size >= before else f"{words.times(before / size)} smaller than exported"


def _better(record: Record, plan: Plan) -> str:
    """Where the pictures show the better quality."""
    metric = plan.metric.get(next(iter(tables.metric_names(record)), ""))
    return "Up" if metric is None or metric.higher_is_better else "Down"


def _by_candidate(record: Record) -> list[tuple[str, tables.State, list[CheckResult]]]:
    """The checks' results, by candidate in the order of the table."""
    found = []
    for trial in record.trials:
        results = [result for result in record.verdict.results if result.candidate == trial.candidate.name]
        if results:
            found.append((trial.candidate.name, tables.state(record, trial), results))
    return found


def _untried(record: Record) -> list[tuple[str, str]]:
    """What was not measured, with the reason."""
    failed = [
        (trial.candidate.name, trial.unmeasured or trial.reason or "no reason was given")
        for trial in record.trials
        if not (trial.succeeded or trial.beaten)
    ]
    return [(f"runtime {name}", reason) for name, reason in record.skipped_runtimes.items()] + failed


def _certificate(record: Record) -> list[tuple[str, str]]:
    """Parity of the export with the original."""
    parity = record.baseline.parity
    worst = "none" if parity.worst_row is None else f"row {parity.worst_row}"
    return [
        ("rows compared", f"{parity.rows:,}"),
        ("labels that differ", f"{parity.flips} ({parity.flips / max(1, parity.rows):.2%})"),
        _furthest(parity),
        ("worst", worst),
        ("precision", parity.precision.value),
        *([("why not float32", parity.cure)] if parity.cure else []),
        *([("certificate", parity.digest)] if parity.digest else []),
    ]


def _furthest(parity: Parity) -> tuple[str, str]:
    """What the answers are judged by: tensors by their cosine, all others by their difference."""
    cosine = parity.cases[0].cosine if parity.cases else None
    if cosine is not None:
        return "smallest cosine", f"{cosine:.6f}"
    return "largest difference", f"{words.difference(parity.largest_difference)} (allowed {parity.tolerance:.0e})"


def _bars(events: Sequence[Event]) -> list[Bar]:
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


def _provenance(record: Record, plan: Plan) -> list[tuple[str, list[tuple[str, str]]]]:
    """Where everything comes from, in groups."""
    machine = record.measured.machine
    rows = [one for one in (record.data.training, record.data.calibration, record.data.evaluation) if one is not None]
    versions: dict[str, str] = {}
    for found in (
        record.baseline.provenance,
        record.measured.provenance,
        *[trial.evaluation and trial.evaluation.provenance for trial in record.trials],
    ):
        versions |= dict(found.versions) if found else {}
    return [
        (
            "Model",
            [
                ("registered as", f"{record.model.name} version {record.model.version}"),
                ("asked for", plan.model),
                ("content", record.model.digest),
                ("ONNX export", record.baseline.artifact.digest),
            ],
        ),
        ("Data", [(one.role, f"{one.count:,} rows, {one.digest}") for one in rows]),
        (
            "Run",
            [
                ("plan", plan.digest),
                ("release", record.release.digest if record.release else words.DASH),
                ("incumbent", record.incumbent or words.DASH),
            ],
        ),
        (
            "Machine",
            [
                ("processor", machine.processor),
                ("cores", f"{machine.cores}, of which {record.measured.threads} threads were used"),
                ("memory", f"{machine.memory_gib:g} GiB"),
                ("system", machine.system),
                ("instructions", ", ".join(machine.instruction_sets) or words.DASH),
            ],
        ),
        ("Versions", sorted(versions.items())),
    ]
