"""One sitting: all candidates in new processes, which take turns in blocks at one batch size after the other."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from fdpipe.artifacts import Artifact
from fdpipe.interfaces import Runtime, Session
from fdpipe.race.lane import Lane, Lost
from fdpipe.race.runner import Surroundings

TURN_NS = 1_000_000
LONGEST_TURN_NS = 20 * TURN_NS
"""Short calls are repeated until the quickest candidate's turn lasts `TURN_NS`, or the slowest one's `LONGEST_TURN_NS`."""
HOPELESS = 1.5
"""In a first impression, what takes so many times as long as the baseline at every size so far, in long calls, is not asked
for larger batches."""
FEWEST_BLOCKS = 4
"""Of short calls a sitting has at least these, if it takes one longest turn more than its time."""
FEWEST_QUIET = 2
"""So many undisturbed blocks are enough to do without the others."""


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """What is raced, as its service would open it."""

    runtime: Runtime
    artifact: Artifact
    session: Session


@dataclass(frozen=True, kw_only=True)
class Size:
    """So many rows in a call, and where sequences are cut or repeated, of so many tokens. `batches` is the file of those that
    are the same for all."""

    batch: int
    length: int | None
    batches: Path


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How a sitting goes: seconds for each size, calls of a warm-up group, how long anything may take, whether a first
    impression is enough and whether each one's peak memory is asked for."""

    seconds: float
    warmup_calls: int
    limit_s: float
    surroundings: Surroundings
    impression: bool = False
    memory: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Race:
    """One size: by entrant the nanoseconds of every call, (blocks, calls), those of all cores together for them, and the
    blocks in which it was disturbed. Those that were lost on the way are not there."""

    calls: Mapping[int, np.ndarray]
    processor_ns: Mapping[int, float]
    disturbed: Mapping[int, np.ndarray]

    def logs(self, number: int) -> np.ndarray:
        """The log ratio of an entrant's median call to that of the first in each block, disturbed ones left out where enough
        remain."""
        one, first = (np.median(self.calls[which], axis=1) for which in (number, 0))
        quiet = ~(self.disturbed[number] | self.disturbed[0])
        kept = quiet if quiet.sum() >= FEWEST_QUIET else np.full(len(quiet), True)
        logs: np.ndarray = np.log(one[kept] / first[kept])
        return logs

    @property
    def slowest_ns(self) -> float:
        """The typical call of the slowest."""
        return max(float(np.median(calls)) for calls in self.calls.values())


@dataclass(frozen=True, kw_only=True)
class Sitting:
    """Each entrant's load and first call in milliseconds, its peak memory, the race at each size that was run, and why
    entrants were lost; the seconds that it took to open them all, and those of the races."""

    load_ms: dict[int, float] = field(default_factory=dict)
    first_call_ms: dict[int, float] = field(default_factory=dict)
    peak_mib: dict[int, float] = field(default_factory=dict)
    races: dict[int, Race] = field(default_factory=dict)
    lost: dict[int, str] = field(default_factory=dict)
    opening_s: float = 0.0
    raced_s: float = 0.0


def sit(entrants: Mapping[int, Entrant], sizes: Sequence[Size], terms: Terms, random: np.random.Generator) -> Sitting:
    """Each entrant, by its number, is opened, and raced at each size; the smallest first. One that is lost leaves the others
    as they are; without number 0, which the others are compared with, there is no race."""
    sitting, began = Sitting(), time.perf_counter()
    order = [list(entrants)[index] for index in random.permutation(len(entrants))]
    with _lanes(order, terms) as lanes:
        for number in order:
            with _lost(number, lanes, sitting):
                one = entrants[number]
                times = lanes[number].open(one.runtime, one.artifact, one.session, sizes[0].batches)
                sitting.load_ms[number], sitting.first_call_ms[number] = times
                if terms.memory:
                    sitting.peak_mib[number] = lanes[number].peak_mib(sizes[-1].batches)
        opened = time.perf_counter()
        for place, size in enumerate(sizes):
            if 0 in lanes and not (terms.impression and _is_hopeless(list(sitting.races.values()))):
                race = _race(lanes, size, terms, random, sitting)
                if race is not None:
                    sitting.races[place] = race
        raced = time.perf_counter()
    return replace(sitting, opening_s=opened - began, raced_s=raced - opened)


@contextmanager
def _lanes(numbers: Sequence[int], terms: Terms) -> Iterator[dict[int, Lane]]:
    lanes: dict[int, Lane] = {}
    try:
        for number in numbers:
            lanes[number] = Lane(terms.surroundings, terms.limit_s)
        yield lanes
        for lane in lanes.values():
            lane.end()
    finally:
        for lane in lanes.values():
            lane.kill()


@contextmanager
def _lost(number: int, lanes: dict[int, Lane], sitting: Sitting) -> Iterator[None]:
    """Where the entrant is lost, it is not in the lanes any more, and the sitting says why."""
    try:
        yield
    except Lost as error:
        lanes.pop(number).kill()
        sitting.lost[number] = str(error)


def _is_hopeless(races: Sequence[Race]) -> bool:
    """Whether all but the first were far slower at every size so far, and a larger batch would take long."""
    slow = all(
        len(race.calls) > 1 and min(float(np.median(race.logs(number))) for number in race.calls if number) > math.log(HOPELESS)
        for race in races
    )
    return bool(races) and slow and races[-1].slowest_ns > LONGEST_TURN_NS


def _race(lanes: dict[int, Lane], size: Size, terms: Terms, random: np.random.Generator, sitting: Sitting) -> Race | None:
    """All entrants in turns until the sitting's share of the time is up; None where the first is lost."""
    ends = time.perf_counter() + terms.seconds
    once = LONGEST_TURN_NS if terms.impression else math.inf
    typical: dict[int, float] = {}
    for number in list(lanes):
        with _lost(number, lanes, sitting):
            share = terms.seconds / 4 / len(lanes)
            typical[number] = lanes[number].warm(size.batches, terms.warmup_calls, share, once)
    if 0 not in lanes:
        return None
    calls = max(1, min(math.ceil(TURN_NS / min(typical.values())), int(LONGEST_TURN_NS / max(typical.values()))))
    blocks = _Blocks(size=size, calls=calls, settled={number for number, one in typical.items() if one > once})
    while 0 in lanes and (not blocks.count or time.perf_counter() < ends + blocks.grace_s):
        blocks.run(lanes, random, sitting)
    return blocks.race(lanes) if 0 in lanes else None


class _Blocks:
    """The blocks of one race, each of all entrants once in a random order and once in that order reversed (ABBA), which
    cancels drift; all answer the same batches."""

    def __init__(self, *, size: Size, calls: int, settled: set[int]) -> None:
        self.count = 0
        self._size, self._calls, self._settled = size, calls, settled
        self._spent: dict[int, list[list[int]]] = {}
        self._disturbed: dict[int, list[bool]] = {}
        self._processor_ns: dict[int, int] = {}

    @property
    def grace_s(self) -> float:
        """What a sitting may take beyond its time to have the fewest blocks."""
        return LONGEST_TURN_NS / 1e9 if self.count < FEWEST_BLOCKS else 0.0

    def run(self, lanes: dict[int, Lane], random: np.random.Generator, sitting: Sitting) -> None:
        """One more. Those whose calls are so long that a first impression can do without take no call to settle."""
        order = [list(lanes)[index] for index in random.permutation(len(lanes))]
        turns: dict[int, list[tuple[list[int], bool]]] = {number: [] for number in order}
        for half, sequence in enumerate((order, order[::-1])):
            start = (2 * self.count + half) * self._calls
            for number in sequence:
                if number in lanes:
                    with _lost(number, lanes, sitting):
                        turn = lanes[number].turn(self._size.batches, start, self._calls, number not in self._settled)
                        turns[number].append((list(turn.spent_ns), turn.disturbed))
                        self._processor_ns[number] = self._processor_ns.get(number, 0) + turn.processor_ns
        self.count += 1
        for number, both in turns.items():
            self._spent.setdefault(number, []).append([spent for half, _ in both for spent in half])
            self._disturbed.setdefault(number, []).append(any(disturbed for _, disturbed in both))

    def race(self, lanes: Mapping[int, Lane]) -> Race:
        """What came out for those that are still there."""
        return Race(
            calls={number: np.array(self._spent[number], dtype=np.float64) for number in lanes},
            processor_ns={number: float(self._processor_ns[number]) for number in lanes},
            disturbed={number: np.array(self._disturbed[number]) for number in lanes},
        )
