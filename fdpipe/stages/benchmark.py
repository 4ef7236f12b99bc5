"""benchmark: the speed of several candidates beside each other, call by call, on this machine.

Two things timed one after the other on a shared machine differ by what else ran meanwhile. So all candidates take turns in
blocks: each one once in a random order and once in that order reversed (ABBA), which cancels drift. And two copies of one
model differ too, by as much as a tenth, by where their memory came to lie. So all are opened anew for each of several
sittings. A sitting's ratio is the median over its blocks, the ratio is the median over the sittings, and the interval a
bootstrap of it, which thus covers what a restarted service would see.
"""

import gc
import math
import os
import pickle
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fdpipe import workers
from fdpipe.arrays import Batch, take
from fdpipe.artifacts import Artifact, Candidate, Interval, Measured, Measurement, Rows, Timing, WorkerSpec
from fdpipe.errors import StageError
from fdpipe.interfaces import Engine, Processor, Runtime
from fdpipe.machine import describe_machine
from fdpipe.plan import Benchmark
from fdpipe.stages import memory
from fdpipe.store import stage

TURN_NS = 1_000_000
LONGEST_TURN_NS = 20 * TURN_NS
"""Short calls are repeated until the quickest candidate's turn lasts `TURN_NS`, or the slowest one's `LONGEST_TURN_NS`."""
SITTINGS = 12
FEWEST_SITTINGS = 5
"""Slow models get fewer sittings than `SITTINGS`, but these even where the budget does not suffice."""
IMPRESSION_SITTINGS = 2
"""The same for a first impression, whose interval is the wider for it."""
HOPELESS = 1.5
"""In a first impression, what takes so many times as long as the baseline at every size so far, in long calls, is not asked
for larger batches."""
OPENING_SPREAD = 0.04
"""The least standard deviation of a sitting's log ratio, for where there are too few of them to see it: chosen, from 0.04 to
0.24 between two openings of one model that were measured on two cores under a load of seven."""
BATCHES = 16
"""How many different batches are prepared for each size."""
RESAMPLES = 10_000

Run = Callable[[Batch], object]


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

    `settings.seconds` is shared by all contenders and spent once for each batch size, loading and warm-up included. Only
    `Engine.run` is timed, on batches prepared from evaluation rows.
    """
    bound: Processor = workers.build_spec(processor)
    features = rows.load().features
    batches = {size: _prepared(bound, features, rows.count, size) for size in settings.batch_sizes}
    peaks = [_peak(one, batches[max(batches)][0]) if settings.memory else None for one in contenders]
    random = np.random.default_rng(settings.seed)
    sittings: list[Sitting] = []
    ends = time.perf_counter() + settings.seconds * len(batches)
    fewest = IMPRESSION_SITTINGS if settings.impression else FEWEST_SITTINGS
    with _no_garbage_collection():
        while len(sittings) < fewest or (len(sittings) < SITTINGS and time.perf_counter() < ends):
            sittings.append(_sit(contenders, batches, settings, random))
            batches = {size: batches[size] for size in batches if size in sittings[-1].races}
    first = contenders[0].candidate
    return Measured(
        measurements=tuple(
            _measurement(number, one, sittings, list(batches), peaks[number], settings) for number, one in enumerate(contenders)
        ),
        baseline=first.name,
        threads=threads(first),
        machine=describe_machine(),
    )


def nothing_measured(baseline: Candidate) -> Measured:
    """What a benchmark says where nothing could be measured."""
    return Measured(measurements=(), baseline=baseline.name, threads=threads(baseline), machine=describe_machine())


def threads(candidate: Candidate) -> int:
    """The threads that its session asks for; without a word of it, every core that this process may use."""
    return int(candidate.session.get("threads", 0)) or len(os.sched_getaffinity(0))


def _prepared(processor: Processor, features: Batch, count: int, size: int) -> list[Batch]:
    """Batches of exactly `size` rows, from the first row on and round again where the rows end."""
    wanted = min(BATCHES, math.ceil(count / size))
    rows = np.arange(wanted * size).reshape(wanted, size) % count
    return [processor.prepare(take(features, index)) for index in rows]


# --- a sitting --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True)
class Race:
    """One batch size in one sitting: each contender's median log ratio to the first, and the nanoseconds of its calls."""

    logs: np.ndarray
    calls: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Sitting:
    """All contenders opened anew: milliseconds of each one's load and first call, and the race of each batch size."""

    load_ms: Sequence[float]
    first_call_ms: Sequence[float]
    races: Mapping[int, Race]


def _sit(
    contenders: Sequence[Contender], batches: Mapping[int, Sequence[Batch]], settings: Benchmark, random: np.random.Generator
) -> Sitting:
    load_ms, first_call_ms = np.empty(len(contenders)), np.empty(len(contenders))
    engines: dict[int, Engine] = {}
    with ExitStack() as opened:
        for one in random.permutation(len(contenders)):
            started = time.perf_counter()
            engines[one] = contenders[one].open()
            loaded = time.perf_counter()
            opened.callback(engines[one].close)
            engines[one].run(batches[min(batches)][0])
            load_ms[one], first_call_ms[one] = (loaded - started) * 1e3, (time.perf_counter() - loaded) * 1e3
        runs = [engines[one].run for one in range(len(contenders))]
        races: dict[int, Race] = {}
        for size in sorted(batches):
            if not (settings.impression and _is_hopeless(list(races.values()))):
                races[size] = _race(runs, batches[size], settings, random)
    return Sitting(load_ms=load_ms.tolist(), first_call_ms=first_call_ms.tolist(), races=races)


def _is_hopeless(races: Sequence[Race]) -> bool:
    """Whether all but the first were far slower at every size so far, and a larger batch would take long."""
    return (
        bool(races)
        and all(len(race.logs) > 1 and race.logs[1:].min() > math.log(HOPELESS) for race in races)
        and float(np.median(races[-1].calls, axis=1).max()) > LONGEST_TURN_NS
    )


def _race(runs: Sequence[Run], batches: Sequence[Batch], settings: Benchmark, random: np.random.Generator) -> Race:
    """All contenders in turns until the sitting's share of the time is up."""
    share_s = settings.seconds / SITTINGS
    ends = time.perf_counter() + share_s
    typical = [_warm(run, batches, settings, share_s / 4 / len(runs)) for run in runs]
    repeats = max(1, min(math.ceil(TURN_NS / min(typical)), int(LONGEST_TURN_NS / max(typical))))
    settled = [settings.impression and one > LONGEST_TURN_NS for one in typical]
    blocks: list[np.ndarray] = []
    quiet: list[bool] = []
    while not blocks or time.perf_counter() < ends:
        before = _pushed_off()
        blocks.append(_block(runs, batches, len(blocks), repeats, random.permutation(len(runs)), settled))
        quiet.append(_pushed_off() == before)
    calls = np.stack(blocks)
    logs = np.log(np.median(calls, axis=2))
    kept = np.array(quiet) if 2 * sum(quiet) >= len(quiet) else np.full(len(quiet), True)
    return Race(logs=np.median(logs[kept] - logs[kept, :1], axis=0), calls=calls.swapaxes(0, 1).reshape(len(runs), -1))


def _block(
    runs: Sequence[Run], batches: Sequence[Batch], number: int, repeats: int, order: np.ndarray, settled: Sequence[bool]
) -> np.ndarray:
    """Nanoseconds of every call, of shape (contenders, 2 × repeats); all answer the same batches."""
    spent = np.empty((len(runs), 2, repeats))
    for turn, sequence in enumerate((order, order[::-1])):
        for one in sequence:
            spent[one, turn] = _turn(runs[one], batches, (2 * number + turn) * repeats, repeats, settled[one])
    return spent.reshape(len(runs), -1)


def _turn(run: Run, batches: Sequence[Batch], start: int, repeats: int, settled: bool = False) -> list[int]:
    """Nanoseconds of each call. One call before them is not counted: it pays for what the one before left in the caches;
    unless calls are so long that a first impression can do without."""
    clock = time.perf_counter_ns
    spent = []
    if not settled:
        run(batches[start % len(batches)])
    for number in range(start, start + repeats):
        batch = batches[number % len(batches)]
        started = clock()
        run(batch)
        spent.append(clock() - started)
    return spent


def _warm(run: Run, batches: Sequence[Batch], settings: Benchmark, seconds: float) -> float:
    """A typical call's nanoseconds, after the warm-up calls or `seconds`, whichever is sooner; after one that is long enough
    for a first impression."""
    ends = time.perf_counter() + seconds
    spent = _turn(run, batches, 0, 1, settled=settings.impression)
    if settings.impression and spent[0] > LONGEST_TURN_NS:
        return float(spent[0])
    while len(spent) < settings.warmup_calls and time.perf_counter() < ends:
        spent += _turn(run, batches, len(spent), 1)
    return float(np.median(spent))


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Python's collector would stop one candidate and not the other."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _pushed_off() -> int:
    """How often the kernel took a core away from this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


# --- figures ----------------------------------------------------------------------------------------------------------


def _measurement(
    number: int,
    contender: Contender,
    sittings: Sequence[Sitting],
    sizes: Sequence[int],
    peak_mib: float | None,
    settings: Benchmark,
) -> Measurement:
    """What the sittings say of one contender."""
    return Measurement(
        candidate=contender.candidate.name,
        timings=tuple(_timing(number, size, sittings, settings) for size in sizes),
        load_ms=float(np.median([sitting.load_ms[number] for sitting in sittings])),
        first_call_ms=float(np.median([sitting.first_call_ms[number] for sitting in sittings])),
        peak_rss_mib=peak_mib,
        size_bytes=contender.artifact.size_bytes,
    )


def _timing(number: int, size: int, sittings: Sequence[Sitting], settings: Benchmark) -> Timing:
    """The figures of every call that was timed, disturbed ones included: the tail is part of what a caller sees."""
    calls = np.concatenate([sitting.races[size].calls[number] for sitting in sittings])
    logs = np.array([sitting.races[size].logs[number] for sitting in sittings])
    p50, p90, p99 = np.quantile(calls, [0.5, 0.9, 0.99]) / 1e6
    return Timing(
        batch=size,
        calls=len(calls),
        p50_ms=float(p50),
        p90_ms=float(p90),
        p99_ms=float(p99),
        rows_per_s=size * 1e9 / float(calls.mean()),
        ratio=interval(logs, settings.confidence, settings.seed) if number else None,
    )


def interval(logs: np.ndarray, confidence: float, seed: int) -> Interval:
    """The median of log ratios with its percentile bootstrap interval (Efron & Tibshirani 1993, ch. 13), as a ratio; of fewer
    than `FEWEST_SITTINGS` with a smoothed bootstrap (Silverman & Young 1987), in which each draw has the spread that is known
    of openings: two figures that happen to agree are not exact."""
    random = np.random.default_rng(seed)
    draws = random.choice(logs, size=(RESAMPLES, len(logs)))
    if len(logs) < FEWEST_SITTINGS:
        draws = draws + random.normal(0.0, OPENING_SPREAD, draws.shape)
    samples = np.median(draws, axis=1)
    low, high = np.quantile(samples, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(low=math.exp(low), middle=math.exp(float(np.median(logs))), high=math.exp(high))


# --- memory -----------------------------------------------------------------------------------------------------------


def _peak(contender: Contender, batch: Batch) -> float:
    """The peak memory in MiB of a process that does nothing else than load the candidate and run one batch."""
    done = subprocess.run(
        [sys.executable, "-m", memory.__name__],
        input=pickle.dumps((contender.runtime, contender.artifact, contender.candidate.session, batch)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise StageError(f"{contender.candidate.name} cannot be run in a process of its own: {last[0]}")
    return float(done.stdout)
