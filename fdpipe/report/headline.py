"""The top of the page: the verdict, what became of the service, and the released candidate's figures."""

from dataclasses import dataclass

from fdpipe.artifacts import Outcome, Record, Rejection, Trial
from fdpipe.report import health, tables, words
from fdpipe.report.findings import deciding_rows


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The verdict: `kind` is deployed, proved (packaged alone, too), rejected, inconclusive or anomalous; `then` says what
    became of the service, `marks` what the release bears, `remarks` what to know before trusting it."""

    kind: str
    title: str
    text: str
    then: str
    url: str = ""
    marks: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One figure with its name, and what it is to be compared with."""

    name: str
    value: str
    beside: str


def headline(record: Record) -> Headline:
    """What came of it."""
    told = tuple(health.remarks(record))
    if record.rejection is not None:
        return _refused(record, record.rejection, told)
    name = record.release.candidate.name if record.release else ""
    text, passed_over = _why_chosen(record, name)
    told = (*passed_over, *told)
    borne, deployment = tuple(_marks(record)), record.deployment
    if deployment is None or not deployment.url:
        proved = record.proof.reason if record.proof else "not proved"
        then = "Dry run: proved, and not deployed." if deployment else f"Packaged, not deployed: {proved}."
        return Headline(kind="proved", title=name, text=text, then=then, marks=borne, remarks=told)
    then = "Deployed and answering." if deployment.changed else "This very release was running already."
    return Headline(kind="deployed", title=name, text=text, then=then, url=deployment.url, marks=borne, remarks=told)


def facts(record: Record) -> list[Fact]:
    """The released candidate's figures, each beside what it replaces; of a rejection there are none."""
    trial = released(record)
    measurement = record.measured.of(trial.candidate.name) if trial else None
    if trial is None or trial.evaluation is None or measurement is None or not measurement.timings:
        return []
    quality = [
        Fact(name=name, value=words.figure(value), beside=f"original {words.figure(trial.evaluation.reference.get(name))}")
        for name, value in trial.evaluation.quality.items()
    ]
    first = measurement.timings[0]
    latency = Fact(
        name=f"p50, {tables.call_of(first)}",
        value=words.milliseconds(first.p50_ms),
        beside=f"p99 {words.milliseconds(first.p99_ms)}",
    )
    size = Fact(name="model size", value=words.mebibytes(measurement.size_mib), beside=_smaller(record, measurement.size_bytes))
    return [*quality[:2], _speed(record, trial), latency, size]


def released(record: Record) -> Trial | None:
    """The trial that was packaged."""
    if record.release is None:
        return None
    return next((trial for trial in record.trials if trial.candidate == record.release.candidate), None)


def _refused(record: Record, rejection: Rejection, told: tuple[str, ...]) -> Headline:
    stays = (
        f"Release {words.digest(record.incumbent)} keeps running, untouched." if record.incumbent else "Nothing was deployed."
    )
    decisive = deciding_rows(record)
    if rejection.outcome is Outcome.INCONCLUSIVE and decisive is not None:
        name, needed = decisive
        here = record.data.evaluation.count
        told = (f"About {needed:,} evaluation rows would decide about {name}; there are {here:,}.", *told)
    return Headline(kind=rejection.word, title="No release", text=rejection.reason, then=stays, remarks=told)


def _why_chosen(record: Record, name: str) -> tuple[str, tuple[str, ...]]:
    """The verdict on what was released, and which came before it in the gate's order: those whose services were refused."""
    passed = record.verdict.passed
    before = passed[: passed.index(name)] if name in passed else ()
    if not before:
        return record.verdict.reason, ()
    ratio = record.measured.overall(name)
    takes = "" if ratio is None else f" and takes {ratio.middle:.2f} ({ratio.low:.2f}–{ratio.high:.2f}) of the baseline's time"
    built = "the services built from them were" if len(before) > 1 else "the service built from it was"
    return f"{name} passed every check{takes}", (f"{' and '.join(before)} came first, and {built} refused.",)


def _marks(record: Record) -> list[str]:
    trial = released(record)
    return tables.marks(record, trial) if trial else []


def _speed(record: Record, trial: Trial) -> Fact:
    name = trial.candidate.name
    ratio, own = record.measured.overall(name), record.measured.of(name)
    if ratio is None:
        return Fact(name="speed", value="1×", beside="the baseline itself")
    interval = f"{1 / ratio.high:.2f}–{1 / ratio.low:.2f}× the baseline's"
    unclear = own is not None and health.undecided(record, own)
    return Fact(name="speed", value="too noisy to tell" if unclear else words.times(1 / ratio.middle), beside=interval)


def _smaller(record: Record, size: int) -> str:
    before = record.baseline.artifact.size_bytes
    return "as exported" if size >= before else f"{words.times(before / size)} smaller than exported"
