"""benchmark: the speed of several candidates beside each other, call by call, on this machine.

Two things timed one after the other on a shared machine differ by what else ran meanwhile. So every candidate has a process
of its own, and all take turns in blocks: each once in a random order and once in that order reversed (ABBA), which cancels
drift. And two copies of one model differ too, by as much as a tenth, by where their memory came to lie. So all are opened
anew, in new processes, for each of several sittings. A sitting's ratio is the median over its blocks, the ratio is the median
over the sittings, and the interval a bootstrap of it, which thus covers what a restarted service would see.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fdpipe import progress, workers
from fdpipe.artifacts import Artifact, Candidate, Health, Interval, Measured, Measurement, Pace, Rows, Timing, WorkerSpec
from fdpipe.errors import StageError
from fdpipe.interfaces import Engine, Processor, Runtime
from fdpipe.machine import describe_machine
from fdpipe.plan import Benchmark
from fdpipe.race import batches
from fdpipe.race.intervals import FEWEST_SITTINGS, hopeless, interval, pace, undecided
from fdpipe.race.runner import Surroundings
from fdpipe.race.sitting import Entrant, Race, Sitting, Size, Terms, sit
from fdpipe.store import stage

SITTINGS = 12
"""The budget is shared by so many; by fewer where opening them all would take longer than the budget itself, but by at least
`FEWEST_SITTINGS`."""
IMPRESSION_SITTINGS = 2
"""As few for a first impression, whose interval is the wider for it."""
SITTINGS_TO_LEAVE = 3
"""Nobody leaves sooner."""
CALLS_FOR_P999 = 10_000
"""Ten of them are slower than the 99.9th percentile."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A candidate with what it takes to run it, as its service would."""

    candidate: Candidate
    runtime: Runtime
    artifact: Artifact

    def open(self) -> Engine:
        """The engine, by the very call that the service uses."""
        return self.runtime.open(self.artifact, self.candidate.session)


@stage(machine_bound=True)
def benchmark(
    folder: Path, contenders: tuple[Contender, ...], processor: WorkerSpec, rows: Rows, settings: Benchmark
) -> Measured:
    """Every contender's speed; the first is the baseline.

    `settings.seconds` is shared by all contenders and spent once for each batch size and length, warm-up included; opening
    comes on top. Only `Engine.run` is timed, on batches prepared from evaluation rows. A contender whose process dies or hangs
    has no timings, and its measurement says why; `StageError` where it is the baseline, or a first impression.
    """
    bound: Processor = workers.build_spec(processor)
    axes = batches.sequences(contenders[0].artifact.inputs) if settings.lengths else []
    if settings.lengths and not axes:
        progress.note("benchmark.lengths is left out: the model has no axis of tokens")
    sizes = batches.written(folder, bound, rows.load().features, settings.batch_sizes, settings.lengths, axes)
    load_before = os.getloadavg()[0]
    try:
        course = _Course(contenders, sizes, settings)
        course.run()
    finally:
        for size in sizes:
            size.batches.unlink()
    return course.measured(load_before)


def nothing_measured(baseline: Candidate) -> Measured:
    """What a benchmark says where nothing could be measured."""
    return Measured(measurements=(), baseline=baseline.name, threads=threads(baseline), machine=describe_machine())


def threads(candidate: Candidate) -> int:
    """The threads that its session asks for; without a word of it, every core that this process may use."""
    return int(candidate.session.get("threads", 0)) or len(os.sched_getaffinity(0))


def cores(contenders: Sequence[Contender]) -> frozenset[int]:
    """The cores that every candidate's process is kept to: as many as the one with the most threads has, the last ones."""
    usable = sorted(os.sched_getaffinity(0))
    return frozenset(usable[-max(threads(one.candidate) for one in contenders) :])


def percentiles(calls: np.ndarray) -> tuple[float, float, float, float | None]:
    """p50, p90, p99 and p99.9 in milliseconds of calls in nanoseconds; the last only of `CALLS_FOR_P999`."""
    p50, p90, p99, p999 = (float(one) for one in np.quantile(calls, [0.5, 0.9, 0.99, 0.999]) / 1e6)
    return p50, p90, p99, p999 if len(calls) >= CALLS_FOR_P999 else None


# --- the sittings -----------------------------------------------------------------------------------------------------


class _Course:
    """The sittings so far, and who is still in."""

    def __init__(self, contenders: Sequence[Contender], sizes: Sequence[Size], settings: Benchmark) -> None:
        self._contenders, self._sizes, self._settings = contenders, list(sizes), settings
        self._sittings: list[Sitting] = []
        entrants = [Entrant(runtime=one.runtime, artifact=one.artifact, session=one.candidate.session) for one in contenders]
        twin = [] if settings.impression else [entrants[0]]
        self._entrants = dict(enumerate([*entrants, *twin]))
        self._left: dict[int, str] = {}
        self._lost: set[int] = set()
        self._ended = ""

    @property
    def _twin(self) -> int:
        """The number of the baseline's second process."""
        return len(self._contenders)

    def run(self) -> None:
        """Sit until every ratio is decided, or the budget is spent."""
        settings, random = self._settings, np.random.default_rng(self._settings.seed)
        budget_s = settings.seconds * len(self._sizes)
        terms = Terms(
            seconds=settings.seconds / SITTINGS,
            warmup_calls=settings.warmup_calls,
            limit_s=settings.limit_seconds,
            surroundings=Surroundings.of_this_process(cores(self._contenders)),
            impression=settings.impression,
            memory=settings.memory,
        )
        while not self._ended:
            sitting = sit(self._entrants, self._sizes, terms, random)
            self._sittings.append(sitting)
            self._note_lost(sitting)
            self._sizes = self._sizes[: len(sitting.races)]
            planned, is_over = self._planned(budget_s), sum(one.raced_s for one in self._sittings) >= budget_s
            terms = replace(terms, memory=False, seconds=settings.seconds / (SITTINGS if settings.impression else planned))
            count = len(self._sittings)
            if settings.impression:
                self._ended = f"{count} sittings are a first impression" if count == IMPRESSION_SITTINGS else ""
            elif count >= SITTINGS_TO_LEAVE:
                ratios = self._ratios()
                if count >= FEWEST_SITTINGS and not undecided(ratios, settings.precision):
                    self._ended = f"every ratio is decided after {count} sittings"
                elif count >= FEWEST_SITTINGS and (is_over or count >= planned):
                    self._ended = f"the budget of {budget_s:g} s is spent after {count} sittings"
                else:
                    self._let_go(ratios)

    def _planned(self, budget_s: float) -> int:
        """How many sittings there are to be, by what it took to open the contenders so far."""
        typical_s = float(np.median([one.opening_s for one in self._sittings]))
        return max(FEWEST_SITTINGS, min(SITTINGS, int(budget_s / typical_s)))

    def _note_lost(self, sitting: Sitting) -> None:
        for number, reason in sitting.lost.items():
            if number == 0 or self._settings.impression:
                raise StageError(reason if number else f"{self._name(0)} cannot be measured: {reason}")
            del self._entrants[number]
            self._lost.add(number)
            self._leave(number, reason)

    def _let_go(self, ratios: dict[int, list[Interval]]) -> None:
        for number, leader in hopeless(ratios).items():
            del self._entrants[number]
            self._leave(number, f"{self._name(leader or 0)} is surely faster, after {len(self._sittings)} sittings")

    def _leave(self, number: int, reason: str) -> None:
        if number != self._twin:
            self._left[number] = reason
            progress.note(f"{self._name(number)} leaves the benchmark: {reason}")

    def _name(self, number: int) -> str:
        return self._contenders[number].candidate.name

    def _ratios(self) -> dict[int, list[Interval]]:
        """Of those still in, at every size."""
        numbers = [number for number in self._entrants if number not in (0, self._twin)]
        return {number: [self._ratio(number, size) for size in range(len(self._sizes))] for number in numbers}

    def _races(self, number: int, size: int) -> list[Race]:
        races = [sitting.races[size] for sitting in self._sittings if size in sitting.races]
        return [race for race in races if number in race.calls]

    def _ratio(self, number: int, size: int) -> Interval:
        logs = np.array([np.median(race.logs(number)) for race in self._races(number, size)])
        return interval(logs, self._settings.confidence, self._settings.seed)

    # --- figures ------------------------------------------------------------------------------------------------------

    def measured(self, load_before: float) -> Measured:
        """All that was found."""
        first = self._contenders[0].candidate
        return Measured(
            measurements=tuple(self._measurement(number) for number in range(len(self._contenders))),
            baseline=first.name,
            threads=threads(first),
            machine=describe_machine(),
            health=self._health(load_before),
            ended=self._ended,
        )

    def _measurement(self, number: int) -> Measurement:
        opened = [sitting for sitting in self._sittings if number in sitting.load_ms]
        peaks = [sitting.peak_mib[number] for sitting in opened if number in sitting.peak_mib]
        sizes = () if number in self._lost else range(len(self._sizes))
        return Measurement(
            candidate=self._name(number),
            timings=tuple(self._timing(number, size) for size in sizes),
            load_ms=float(np.median([sitting.load_ms[number] for sitting in opened])) if opened else None,
            first_call_ms=float(np.median([sitting.first_call_ms[number] for sitting in opened])) if opened else None,
            peak_rss_mib=peaks[0] if peaks else None,
            size_bytes=self._contenders[number].artifact.size_bytes,
            processor_ms=self._processor_ms(number, sizes[-1]) if sizes else None,
            left=self._left.get(number, ""),
        )

    def _timing(self, number: int, place: int) -> Timing:
        """The figures of every call that was timed, disturbed ones included: the tail is part of what a caller sees."""
        size, races = self._sizes[place], self._races(number, place)
        calls = np.concatenate([race.calls[number].ravel() for race in races])
        p50, p90, p99, p999 = percentiles(calls)
        ratio = self._ratio(number, place) if number else None
        return Timing(
            batch=size.batch,
            length=size.length,
            calls=len(calls),
            p50_ms=p50,
            p90_ms=p90,
            p99_ms=p99,
            p999_ms=p999,
            rows_per_s=size.batch * 1e9 / float(calls.mean()),
            ratio=ratio,
            blocks=sum(len(race.logs(number)) for race in races),
            pace=pace(ratio, self._settings.precision) if ratio else Pace.ALIKE,
        )

    def _processor_ms(self, number: int, place: int) -> float:
        races = self._races(number, place)
        spent = sum(race.processor_ns[number] for race in races) / 1e6
        return spent / sum(race.calls[number].size for race in races) / self._sizes[place].batch

    def _health(self, load_before: float) -> Health:
        every = [race for sitting in self._sittings for race in sitting.races.values()]
        return Health(
            load_before=load_before,
            load_after=os.getloadavg()[0],
            disturbed_share=float(np.mean(np.concatenate([blocks for race in every for blocks in race.disturbed.values()]))),
            noise=self._noise(),
        )

    def _noise(self) -> Interval | None:
        """Each sitting's over all sizes; none where there was no second process, or it was lost."""
        if self._twin not in self._entrants:
            return None
        sizes = range(len(self._sizes))
        logs = [[np.median(race.logs(self._twin)) for race in self._races(self._twin, size)] for size in sizes]
        return interval(np.mean(logs, axis=0), self._settings.confidence, self._settings.seed)
