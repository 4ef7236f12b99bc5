"""The candidates as plain text cells, for a terminal as well as for a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from fdpipe.artifacts import CheckResult, Measurement, Outcome, Pace, Record, Timing, Trial
from fdpipe.report import words


class State(StrEnum):
    """What became of a candidate."""

    DEPLOYED = "deployed"
    PROVED = "proved"
    PASSED = "passed"
    REFUSED = "refused"
    NO_FINALIST = "no finalist"
    GIVEN_UP = "given up early"
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

    def parted(self, most: int) -> tuple["Table", "Table | None"]:
        """The first `most` rows, and the others, where there are any."""
        first, rest = (
            replace(self, rows=self.rows[part], states=self.states[part], numbers=self.numbers[part])
            for part in (slice(most), slice(most, None))
        )
        return first, rest if rest.rows else None


@dataclass(frozen=True, kw_only=True)
class CallKind:
    """One kind of call: so many rows and, where lengths were asked for, sequences of so many tokens."""

    batch: int
    length: int | None = None

    def __str__(self) -> str:
        """For people."""
        return f"batch {self.batch}" + (f" × {self.length} tokens" if self.length else "")


FEW = 8
"""So many candidates are shown as they are; of more, those that came to the final benchmark."""

MOST_NUMBERED = 12
"""So many candidates have their number in a picture, and their own curve: the first of the table."""

MOST = 20
"""So many rows of candidates are seen at once; of more, those first that came furthest, and the others are folded."""


def candidates(record: Record, *, every: bool = True) -> Table:
    """The candidates tried, or the short list of them: quality with its distance to the original, time relative to the
    baseline with its interval for each kind of call, milliseconds of one call, size, memory, and what became of each."""
    metrics, asked = metric_names(record), calls(record)
    times = [f"time, {call}" for call in asked]
    columns = ("candidate", *metrics, *times, *[f"p50, {call}" for call in asked[:1]], "size", "memory", "outcome")
    shown = list(enumerate(record.trials, start=1)) if every else short_list(record)
    return Table(
        columns=columns,
        rows=tuple(_row(record, trial, metrics, asked) for _, trial in shown),
        states=tuple(state(record, trial) for _, trial in shown),
        numbers=tuple(number for number, _ in shown),
    )


def short_list(record: Record) -> list[tuple[int, Trial]]:
    """The trials with their numbers: all of them where they are few, else those that came to the final benchmark, the best
    first where these are many."""
    numbered = list(enumerate(record.trials, start=1))
    if len(numbered) <= FEW:
        return numbered
    measured = {one.candidate for one in record.measured.measurements}
    found = [(number, trial) for number, trial in numbered if trial.candidate.name in measured or number == 1]
    return found if len(found) <= MOST else sorted(found, key=lambda pair: rank(record, pair[1].candidate.name))


def rank(record: Record, candidate: str) -> int:
    """How far it came: those that passed in the gate's order, then all others."""
    passed = record.verdict.passed
    return passed.index(candidate) if candidate in passed else len(passed)


def state(record: Record, trial: Trial) -> State:
    """What became of a candidate."""
    name = trial.candidate.name
    if trial.unmeasured:
        return State.NOT_MEASURED
    if trial.beaten:
        return State.GIVEN_UP
    if not trial.succeeded:
        return State.FAILED
    if record.release is not None and record.release.candidate.name == name:
        return State.DEPLOYED if record.deployment is not None and record.deployment.url else State.PROVED
    if name in record.verdict.passed:
        return State.PASSED
    return State.REFUSED if refusals(record, trial) else State.NO_FINALIST


def refusals(record: Record, trial: Trial) -> list[CheckResult]:
    """The checks that refused it: those of the verdict or, for who was no finalist, of the first impression."""
    return [result for result in judged(record, trial) if result.outcome is not Outcome.PASS]


def judged(record: Record, trial: Trial) -> list[CheckResult]:
    """What every check said of it, in the verdict or else on the first impression."""
    return list(record.verdict.of(trial.candidate.name) or trial.refusals)


def marks(record: Record, trial: Trial) -> list[str]:
    """What it would bear on its way, as unbatchable."""
    own = [result.mark for result in record.verdict.of(trial.candidate.name)]
    return list(dict.fromkeys(mark.value for mark in own if mark is not None))


def metric_names(record: Record) -> list[str]:
    """The metrics' names, the first being the one that matters most."""
    return list(next((trial.evaluation.quality for trial in record.trials if trial.evaluation), {}))


def calls(record: Record) -> list[CallKind]:
    """The kinds of call that were measured."""
    return list(dict.fromkeys(call_of(timing) for one in record.measured.measurements for timing in one.timings))


def call_of(timing: Timing) -> CallKind:
    """What was timed."""
    return CallKind(batch=timing.batch, length=timing.length)


def measurement_of(record: Record, trial: Trial) -> Measurement | None:
    """The final benchmark's or, for who was no finalist, the first impression."""
    name = trial.candidate.name
    return record.measured.of(name) or (trial.speed.of(name) if trial.speed else None)


def time_beside(record: Record, candidate: str, timing: Timing) -> str:
    """Its time as a multiple of the baseline's, with the interval; of a finalist too noisy to tell, only that."""
    if candidate == record.measured.baseline:
        return "1 (baseline)"
    told = words.ratio(timing.ratio)
    unclear = timing.pace is Pace.TOO_NOISY and record.measured.of(candidate) is not None
    return f"too noisy ({told.partition('(')[2]}" if unclear and timing.ratio is not None else told


def _row(record: Record, trial: Trial, metrics: Sequence[str], asked: Sequence[CallKind]) -> tuple[str, ...]:
    measurement = measurement_of(record, trial)
    timings = {call_of(timing): timing for timing in measurement.timings} if measurement else {}
    return (
        trial.candidate.name,
        *[_quality(trial, name) for name in metrics],
        *[_time(record, trial, timings, call) for call in asked],
        *[words.milliseconds(timings[call].p50_ms) if call in timings else words.DASH for call in asked[:1]],
        words.mebibytes(trial.artifact.size_mib if trial.artifact else None),
        words.mebibytes(measurement.peak_rss_mib if measurement else None),
        _outcome(record, trial),
    )


def _quality(trial: Trial, metric: str) -> str:
    if trial.evaluation is None:
        return words.DASH
    value, reference = trial.evaluation.quality.get(metric), trial.evaluation.reference.get(metric)
    return f"{words.figure(value)} ({words.change(value, reference)})"


def _time(record: Record, trial: Trial, timings: Mapping[CallKind, Timing], call: CallKind) -> str:
    if trial.candidate.name == record.measured.baseline:
        return "1 (baseline)"
    return time_beside(record, trial.candidate.name, timings[call]) if call in timings else words.DASH


def _outcome(record: Record, trial: Trial) -> str:
    found = state(record, trial)
    if found is State.REFUSED:
        return f"refused: {', '.join(_by(result) for result in refusals(record, trial))}"
    if found is State.NOT_MEASURED:
        return f"not measured: {trial.unmeasured}"
    if found is State.GIVEN_UP:
        return f"given up early: {trial.beaten}"
    if found is State.FAILED:
        return f"failed: {trial.reason}"
    borne = ", ".join(marks(record, trial))
    return f"{found.value} ({borne})" if borne else found.value


def _by(result: CheckResult) -> str:
    """The check, and its outcome where that is no plain failure."""
    return result.check if result.outcome is Outcome.FAIL else f"{result.check} {result.outcome.value}"
