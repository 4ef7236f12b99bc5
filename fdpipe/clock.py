"""What a search has used of its budget, and what is still to come."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from fdpipe.artifacts import Candidate
from fdpipe.interfaces import Proposal
from fdpipe.plan import Budget


@dataclass(kw_only=True)
class Clock:
    """The budget of a search and the seconds that its trials took.

    A trial that was stored takes no time and says nothing of the others, and so a killed search goes on with all of its
    seconds. What one takes is guessed from those that are like it.
    """

    budget: Budget
    now: Callable[[], float] = time.monotonic
    taken: list[tuple[Candidate, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """From now on."""
        self.began = self.now()

    def note(self, candidate: Candidate, seconds: float) -> None:
        """A trial was made, in so many seconds."""
        self.taken.append((candidate, seconds))

    def typical(self, candidate: Candidate) -> float:
        """The seconds that it will probably take: the median of those with its recipe on its runtime, or its recipe, or its
        runtime, or of all; 0 where nothing is known."""
        seconds = [
            [spent for one, spent in self.taken if (one.recipe, one.runtime) == (candidate.recipe, candidate.runtime)],
            [spent for one, spent in self.taken if one.recipe == candidate.recipe],
            [spent for one, spent in self.taken if one.runtime == candidate.runtime],
            [spent for _, spent in self.taken],
        ]
        return next((median(some) for some in seconds if some), 0.0)

    @property
    def used(self) -> float:
        """Seconds since the search began."""
        return self.now() - self.began

    @property
    def left(self) -> float:
        """Seconds of the budget; infinite without one."""
        return self.budget.max_seconds - self.used if self.budget.max_seconds else float("inf")

    def next_of(self, proposals: Sequence[Proposal]) -> Proposal | None:
        """The first that would end in time."""
        return next((one for one in proposals if self.typical(one.candidate) <= self.left), None)

    def spent(self, tried: int, proposals: Sequence[Proposal]) -> str | None:
        """Why there is no turn or no time for another trial."""
        budget = self.budget
        if budget.max_trials and tried >= budget.max_trials:
            return f"search.max_trials={budget.max_trials} are tried"
        if self.next_of(proposals) is not None:
            return None
        takes = min(self.typical(one.candidate) for one in proposals)
        return f"{self.used:.0f} s of search.max_seconds={budget.max_seconds:g} are used, and a trial takes about {takes:.0f} s"

    def place(self, tried: int, proposals: Sequence[Proposal], expected: int) -> str:
        """Where the search stands before its next trial, where about `expected` are still to come: `trial 7 of about 20,
        about 40 s left`."""
        allowed = self.budget.max_trials - tried if self.budget.max_trials else expected
        ahead = max(min(expected, allowed), 1)
        known = [self.typical(one.candidate) for one in proposals[:ahead]]
        usual = median(spent for _, spent in self.taken) if self.taken else 0.0
        seconds = min(sum(known) + usual * (ahead - len(known)), self.left)
        told = f"trial {tried + 1} of about {tried + ahead}"
        return f"{told}, about {max(seconds, 1):.0f} s left" if self.taken else told
