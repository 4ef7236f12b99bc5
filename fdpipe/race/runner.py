"""What runs in a candidate's own process: it opens the candidate and, when it has the turn, times calls itself."""

import gc
import os
import pickle
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from fdpipe.arrays import Batch
from fdpipe.artifacts import Artifact
from fdpipe.errors import FdpipeError
from fdpipe.interfaces import Engine, Runtime, Session
from fdpipe.race.waits import TAKEN, taken_ns, waits

SETTLING_NS = 100_000
"""A turn begins with calls that are not counted: one, and more until so much time is up. They pay for what the one before
left in the caches."""
UNSTABLE = 0.97
"""A group of warm-up calls that takes less than so much of the time of the fastest before it says that it is not warm yet."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a candidate finds in its process: the variables, folder and import path of the one that measures, and its cores."""

    environment: Mapping[str, str]
    folder: str
    path: Sequence[str]
    cores: frozenset[int]

    @classmethod
    def of_this_process(cls, cores: frozenset[int]) -> "Surroundings":
        """Those of the caller, and these cores."""
        return cls(environment=dict(os.environ), folder=str(Path.cwd()), path=tuple(sys.path), cores=cores)

    def settle(self) -> None:
        """Make them this process's."""
        os.environ.clear()
        os.environ.update(self.environment)
        os.chdir(self.folder)
        sys.path[:] = self.path
        os.sched_setaffinity(0, self.cores)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """The nanoseconds of each call; those of all cores together for all of them; whether others took its cores meanwhile."""

    spent_ns: Sequence[int]
    processor_ns: int
    disturbed: bool


class Runner:
    """One candidate, opened. Batches lie in files, which `write_batches` made."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._batches: dict[Path, list[Batch]] = {}

    def settle(self, surroundings: Surroundings) -> None:
        """Before anything of the candidate is loaded."""
        surroundings.settle()

    def open(self, runtime: Runtime, artifact: Artifact, session: Session, first: Path) -> tuple[float, float]:
        """Milliseconds of the load, by the very call that the service uses, and of the first inference."""
        batch = first_batch(first)
        started = time.perf_counter()
        self._engine = runtime.open(artifact, session)
        loaded = time.perf_counter()
        self._engine.run(batch)
        ended = time.perf_counter()
        gc.collect()
        gc.freeze()
        gc.disable()  # it would stop one candidate and not the other
        return (loaded - started) * 1e3, (ended - loaded) * 1e3

    def peak_mib(self, largest: Path) -> float:
        """The peak of this process's memory after a call of the largest batch."""
        self._run(first_batch(largest))
        return peak_mib()

    def warm(self, batches: Path, calls: int, seconds: float, once: float) -> float:
        """A typical call's nanoseconds, once groups of so many calls become no faster, or `seconds` are up. After one call
        where that takes longer than `once` nanoseconds."""
        ends = time.perf_counter() + seconds
        spent = self.turn(batches, 0, 1, settling=False).spent_ns
        if spent[0] > once or not calls:
            return float(spent[0])
        fastest = float("inf")
        while time.perf_counter() < ends:
            group = sorted(self.turn(batches, len(spent), calls, settling=False).spent_ns)
            typical = float(group[len(group) // 2])
            if typical > UNSTABLE * fastest:
                return min(typical, fastest)
            fastest = typical
        return min(float(spent[0]), fastest)

    def turn(self, batches: Path, start: int, calls: int, settling: bool = True) -> Turn:
        """So many calls, the first with batch number `start`, round and round."""
        every, run, clock = self._every(batches), self._run, time.perf_counter_ns
        if settling:
            ends = clock() + SETTLING_NS
            run(every[start % len(every)])
            while clock() < ends:
                run(every[start % len(every)])
        spent, before, began, processor = [], waits(), clock(), time.process_time_ns()
        for number in range(start, start + calls):
            batch = every[number % len(every)]
            started = clock()
            run(batch)
            spent.append(clock() - started)
        processor, passed = time.process_time_ns() - processor, clock() - began
        taken = taken_ns(before, waits(), passed)
        return Turn(spent_ns=spent, processor_ns=processor, disturbed=taken > TAKEN * passed)

    def work(self, batches: Path, seconds: float) -> int:
        """Calls, one after the other, for so long: how many there were, and at least one."""
        every, run, ends, calls = self._every(batches), self._run, time.perf_counter() + seconds, 0
        while not calls or time.perf_counter() < ends:
            run(every[calls % len(every)])
            calls += 1
        return calls

    def end(self) -> None:
        """Give back what the candidate holds."""
        if self._engine is not None:
            self._engine.close()

    def _every(self, batches: Path) -> list[Batch]:
        if batches not in self._batches:
            self._batches[batches] = read_batches(batches)
        return self._batches[batches]

    @property
    def _run(self) -> Callable[[Batch], object]:
        if self._engine is None:
            raise RuntimeError("a candidate runs only when it is open")
        return self._engine.run


def serve(connection: Connection, runner: Runner) -> None:
    """Do what is asked, a method's name and its arguments at a time, until `end` or until nobody asks any more; the answer
    is its result, or the line that says why there is none."""
    name = ""
    while name != Runner.end.__name__:
        try:
            name, *arguments = connection.recv()
            answer: tuple[object, str] = (getattr(runner, name)(*arguments), "")
        except EOFError:
            return
        except Exception as error:  # whatever a library raises is this candidate's failure, told by the one that asked
            answer = (None, line_of(error))
        connection.send(answer)


def line_of(error: Exception) -> str:
    """The error in one line, an unexpected one with its kind."""
    words = " ".join(str(error).split())
    return words if isinstance(error, FdpipeError) else f"{type(error).__name__}: {words}"


def write_batches(path: Path, batches: Sequence[Batch]) -> None:
    """The first on its own, then all."""
    with path.open("wb") as file:
        pickle.dump(batches[0], file)
        pickle.dump(list(batches), file)


def first_batch(path: Path) -> Batch:
    """The first alone, since the others would count as the candidate's memory."""
    with path.open("rb") as file:
        batch: Batch = pickle.load(file)
    return batch


def read_batches(path: Path) -> list[Batch]:
    """All of them."""
    with path.open("rb") as file:
        pickle.load(file)
        batches: list[Batch] = pickle.load(file)
    return batches


def peak_mib() -> float:
    """This process's largest resident size. Not getrusage's, which a child inherits from its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
