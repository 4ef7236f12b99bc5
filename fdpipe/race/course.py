"""A course of sittings: who is still in, and when enough is known of all."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from fdpipe import progress
from fdpipe.artifacts import Interval
from fdpipe.errors import StageError
from fdpipe.plan import Benchmark
from fdpipe.race.intervals import FEWEST_SITTINGS, hopeless, interval, undecided
from fdpipe.race.runner import Surroundings
from fdpipe.race.sitting import Entrant, Race, Sitting, Size, Terms, sit

SITTINGS = 12
"""The budget is shared by so many; by fewer where opening them all would take longer than the budget itself, but by at least
`FEWEST_SITTINGS`."""
IMPRESSION_SITTINGS = 2
"""As few for a first impression, whose interval is the wider for it."""
SITTINGS_TO_LEAVE = 3
"""Nobody leaves sooner."""
TWIN_CHANCES = 3
"""The baseline's second process is opened anew in the next sitting until it was lost so often."""


class Course:
    """The sittings so far of these entrants at these sizes; the first entrant is the baseline. `names` are theirs, and
    `entrants` holds those that are still in, by number.

    Beside them runs the baseline's twin, the same in a second process: by how much the two differ, no ratio can be known
    better (an A/A test). A sitting in which the twin was lost still counts for the ratios, but nobody leaves early, and the
    course does not end early, before the twin has been in as many sittings as that takes. A first impression has no twin.
    """

    def __init__(self, names: Sequence[str], entrants: Sequence[Entrant], sizes: Sequence[Size], settings: Benchmark) -> None:
        self.names, self.sizes, self.settings = tuple(names), list(sizes), settings
        self.sittings: list[Sitting] = []
        self.left: dict[int, str] = {}
        self.lost: set[int] = set()
        self.ended = ""
        self.without_twin: list[str] = []
        self.entrants = dict(enumerate(entrants))
        if not settings.impression:
            self.entrants[self.twin] = entrants[0]

    @property
    def twin(self) -> int:
        """The number of the baseline's second process."""
        return len(self.names)

    @property
    def witnessed(self) -> list[Sitting]:
        """The sittings in which the twin was raced at every size."""

        def is_there(sitting: Sitting, place: int) -> bool:
            return place in sitting.races and self.twin in sitting.races[place].calls

        return [one for one in self.sittings if all(is_there(one, place) for place in range(len(self.sizes)))]

    def run(self, cores: frozenset[int]) -> None:
        """Sit, on these cores, until every ratio is decided, or the budget is spent. `StageError` where the baseline is lost,
        or any in a first impression."""
        settings, random = self.settings, np.random.default_rng(self.settings.seed)
        budget_s = settings.seconds * len(self.sizes)
        terms = Terms(
            seconds=settings.seconds / SITTINGS,
            warmup_calls=settings.warmup_calls,
            limit_s=settings.limit_seconds,
            surroundings=Surroundings.of_this_process(cores),
            impression=settings.impression,
            memory=settings.memory,
        )
        while not self.ended:
            sitting = sit(self.entrants, self.sizes, terms, random)
            self.sittings.append(sitting)
            self._note_lost(sitting.lost)
            self.sizes = self.sizes[: len(sitting.races)]
            planned = self._planned(budget_s)
            terms = replace(terms, memory=False, seconds=settings.seconds / (SITTINGS if settings.impression else planned))
            self.ended = self._end(budget_s, planned)

    def _end(self, budget_s: float, planned: int) -> str:
        """Why this is the end; empty where it is not, and then some may leave."""
        count, settings = len(self.sittings), self.settings
        if settings.impression:
            return f"{count} sittings are a first impression" if count == IMPRESSION_SITTINGS else ""
        is_over = count >= planned or sum(one.raced_s for one in self.sittings) >= budget_s
        witnessed = len(self.witnessed)
        ratios = self._ratios() if witnessed >= SITTINGS_TO_LEAVE else {}
        if witnessed >= FEWEST_SITTINGS and not undecided(ratios, settings.precision):
            return f"every ratio is decided after {count} sittings"
        if count >= FEWEST_SITTINGS and is_over:
            return f"the budget of {budget_s:g} s is spent after {count} sittings"
        for number, leader in hopeless(ratios).items():
            del self.entrants[number]
            self._leave(number, f"{self.names[leader or 0]} is surely faster, after {count} sittings")
        return ""

    def _planned(self, budget_s: float) -> int:
        """How many sittings there are to be, by what it took to open the entrants so far."""
        typical_s = float(np.median([one.opening_s for one in self.sittings]))
        return max(FEWEST_SITTINGS, min(SITTINGS, int(budget_s / typical_s)))

    def _note_lost(self, lost: Mapping[int, str]) -> None:
        for number, reason in lost.items():
            if number == 0 or self.settings.impression:
                raise StageError(reason if number else f"{self.names[0]} cannot be measured: {reason}")
            if number == self.twin:
                self._miss_twin(reason)
            else:
                del self.entrants[number]
                self.lost.add(number)
                self._leave(number, reason)

    def _miss_twin(self, reason: str) -> None:
        self.without_twin.append(reason)
        is_last = len(self.without_twin) == TWIN_CHANCES
        if is_last:
            del self.entrants[self.twin]
        then = "it is not opened again, and nothing is decided early" if is_last else "it is opened anew in the next sitting"
        progress.note(f"the second process of {self.names[0]} is lost: {reason}; {then}")

    def _leave(self, number: int, reason: str) -> None:
        self.left[number] = reason
        progress.note(f"{self.names[number]} leaves the benchmark: {reason}")

    # --- what is known so far -----------------------------------------------------------------------------------------

    def _ratios(self) -> dict[int, list[Interval]]:
        """Of those still in, at every size."""
        numbers = [number for number in self.entrants if number not in (0, self.twin)]
        return {number: [self.ratio(number, size) for size in range(len(self.sizes))] for number in numbers}

    def races(self, number: int, size: int) -> list[Race]:
        """Those in which this entrant ran to the end."""
        races = [sitting.races[size] for sitting in self.sittings if size in sitting.races]
        return [race for race in races if number in race.calls]

    def ratio(self, number: int, size: int) -> Interval:
        """The entrant's time divided by the baseline's."""
        logs = np.array([np.median(race.logs(number)) for race in self.races(number, size)])
        return interval(logs, self.settings.confidence, self.settings.seed)
