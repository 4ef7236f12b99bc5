"""Speed: how often two candidates 2 % apart are put in the right order, beside a neighbour that takes the core in bursts."""

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

import numpy as np

from bench.gate import neighbour as neighbours
from bench.gate.kept import Kept
from bench.gate.neighbour import BURST_S, PAUSE_S, neighbour
from bench.gate.page import Row
from bench.optimize.race import on_one_core
from fdpipe import race
from fdpipe.arrays import save_arrays
from fdpipe.artifacts import Artifact, Candidate, Measured, Pace, Rows
from fdpipe.plan import Benchmark
from fdpipe.stages import benchmark as stage
from fdpipe.stages.benchmark import Contender, benchmark
from fdpipe.testing import INPUTS, OUTPUTS, FakeModel, FakeProcessor, FakeRuntime
from fdpipe.workers import spec

TITLE = "Two candidates 2 % apart"
TOLD = f"""Each trial has 2 s, on one core that a neighbour takes in bursts: {BURST_S * 1e3:.0f} ms on average, and
{PAUSE_S * 1e3:.0f} ms between them. The calls take 500 and 510 µs, and which of them is the baseline is drawn. *Right* is the
engine's own word that the faster one is surely faster; *too noisy to tell* counts as wrong. The A/A pair is the baseline
beside its own second process in the same trials. The naive methods call one candidate for half the time and then the other,
and name the one that was faster: they say nothing of how sure that is. These models only spin and touch no memory, so two
openings of one are alike; of real models they are not, and what that does to the naive methods is not measured here."""

TRIALS = 100
SECONDS = 2.0
FASTER_US, SLOWER_US = 500.0, 510.0
RIGHT, DIFFERENT = 0.95, 0.05
"""The shares that are wanted: at least, and at most."""
MEASURED = (Path(__file__), Path(neighbours.__file__), Path(stage.__file__), *sorted(Path(race.__file__).parent.glob("*.py")))
"""The code of which a change makes a trial that was kept be made again."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What each way said of one pair: the engine, by its own word and by its figure alone; the naive ones; and whether the
    engine called the A/A pair different. `seconds` is what the engine took."""

    sure: bool
    order: bool
    different: bool
    mean: bool
    median: bool
    seconds: float
    noisy: bool = False


def rows(count: int = TRIALS, *, fresh: bool = False) -> list[Row]:
    """The engine's scores, and the naive methods' beside them. Trials that an earlier run made, of this code and on this
    machine, are not made again, unless `fresh`."""
    kept = Kept("speed", MEASURED, {"seconds": SECONDS})
    if fresh:
        kept.forget()
    return table(trials(count, kept))


def table(found: Sequence[Trial]) -> list[Row]:
    """What so many trials say."""
    count, right, different = len(found), sum(one.sure for one in found), sum(one.different for one in found)
    return [
        Row(
            what="right order, surely", wanted=f"≥ {RIGHT * count:.0f} of {count}",
            found=f"{right} of {count}, in {median(one.seconds for one in found):.1f} s", holds=right >= RIGHT * count,
        ),
        Row(
            what="the A/A pair called different", wanted=f"≤ {DIFFERENT * count:.0f} of {count}",
            found=f"{different} of {count}", holds=different <= DIFFERENT * count,
        ),
        _beside("said to be too noisy to tell", [one.noisy for one in found]),
        _beside("right order by the figure, sure or not", [one.order for one in found]),
        _beside("naive: one after the other, mean", [one.mean for one in found]),
        _beside("naive: one after the other, median", [one.median for one in found]),
    ]  # fmt: skip


def _beside(what: str, scores: Sequence[bool]) -> Row:
    return Row(what=what, wanted="", found=f"{sum(scores)} of {len(scores)}")


@on_one_core()
def trials(count: int, kept: Kept, seconds: float = SECONDS) -> list[Trial]:
    """So many, each with so much time for each way; every one is kept as soon as it was made."""
    found = {number: Trial(**fields) for number, fields in kept.read().items() if number < count}
    if found:
        print(f"{len(found)} of {count} trials were made before", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(count):
            if number not in found:
                with neighbour(number):
                    found[number] = _trial(Path(scratch), number, seconds)
                kept.add(number, found[number])
                print(f"trial {number + 1} of {count}: {_told(found[number])}", flush=True)
    return [found[number] for number in range(count)]


def _told(trial: Trial) -> str:
    word = "right" if trial.sure else "too noisy to tell" if trial.noisy else "wrong or not sure"
    return f"{word} in {trial.seconds:.1f} s" + (", the A/A pair called different" if trial.different else "")


def _trial(folder: Path, number: int, seconds: float) -> Trial:
    """The order of the two is drawn: a method that always names the second is right half the time."""
    is_faster = bool(random.Random(number).getrandbits(1))
    times = (SLOWER_US, FASTER_US) if is_faster else (FASTER_US, SLOWER_US)
    first, second = (_contender(folder, place, one) for place, one in enumerate(times))
    began = time.perf_counter()
    measured = _measured(folder, (first, second), number, seconds)
    took = time.perf_counter() - began
    timing, noise = measured.measurements[1].timings[0], measured.health and measured.health.noise
    if timing.ratio is None or not noise:
        raise LookupError(f"trial {number + 1} has no ratio: the engine lost a process")
    calls = [_called(one, seconds / 2) for one in (first, second)]

    def named(figure: Callable[[Sequence[float]], float]) -> bool:
        return (figure(calls[1]) < figure(calls[0])) == is_faster

    return Trial(
        sure=timing.pace is (Pace.FASTER if is_faster else Pace.SLOWER),
        noisy=timing.pace is Pace.TOO_NOISY,
        order=(timing.ratio.middle < 1) == is_faster,
        different=not noise.low <= 1 <= noise.high,
        mean=named(fmean),
        median=named(median),
        seconds=took,
    )


def _measured(folder: Path, pair: tuple[Contender, ...], seed: int, seconds: float) -> Measured:
    """By the very stage that a run calls."""
    features = {"x": np.zeros((16, 4), np.float32)}
    digest = save_arrays(folder / "rows.npz", features)
    given = Rows(role="evaluation", path=folder / "rows.npz", digest=digest, count=16, labelled=False)
    settings = Benchmark(batch_sizes=(1,), seconds=seconds, memory=False, seed=seed)
    return benchmark.work(folder, pair, spec("processor", FakeProcessor()), given, settings)


def _contender(folder: Path, place: int, microseconds: float) -> Contender:
    path = folder / f"model{place}.json"
    FakeModel(microseconds=microseconds).save(path)
    artifact = Artifact(kind="onnx", path=path, digest=str(place), size_bytes=1, inputs=INPUTS, outputs=OUTPUTS)
    return Contender(candidate=Candidate(runtime=f"fake{place}", recipe="none"), runtime=FakeRuntime(), artifact=artifact)


def _called(contender: Contender, seconds: float) -> list[float]:
    """Nanoseconds of calls, one after the other, for so long."""
    engine, batch, spent = contender.open(), {"x": np.zeros((1, 4), np.float32)}, list[float]()
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        started = time.perf_counter_ns()
        engine.run(batch)
        spent.append(time.perf_counter_ns() - started)
    engine.close()
    return spent
