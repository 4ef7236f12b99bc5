"""What a search has used of its budget, and what is still to come."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from statistics import fmean, median

from fdpipe.artifacts import Candidate
from fdpipe.plan import Budget
from fdpipe.space import Proposal


class Kind(StrEnum):
    """What a trial does anew. A recipe's own does all; what comes after it finds a part of that in the store: another
    calibrator, nodes back in float, or another session of the same model. `PARTS` puts models together."""

    RECIPE = "recipe"
    CALIBRATOR = "calibrator"
    FLOATS = "floats"
    SESSION = "session"
    PARTS = "parts"


@dataclass(frozen=True, kw_only=True)
class Taken:
    """The seconds that a trial took; `whole` is one that was made, measured and evaluated, and not given up on the way."""

    candidate: Candidate
    kind: Kind
    seconds: float
    whole: bool


@dataclass(kw_only=True)
class Clock:
    """The budget of a search and what its trials took.

    A trial that was stored takes no time and says nothing of the others, and so a killed search goes on with all of its
    seconds. What one takes is guessed from those that are like it.
    """

    budget: Budget
    now: Callable[[], float] = time.monotonic
    taken: list[Taken] = field(default_factory=list)

    def __post_init__(self) -> None:
        """From now on."""
        self.began = self.now()

    def note(self, candidate: Candidate, seconds: float, whole: bool = True) -> None:
        """A trial was made, in so many seconds."""
        self.taken.append(Taken(candidate=candidate, kind=self._kind(candidate), seconds=seconds, whole=whole))

    def typical(self, candidate: Candidate) -> float:
        """The seconds that it will probably take: the median of those that have most in common with it; 0 where nothing is
        known. What was given up on the way only counts where no trial was whole."""
        known, kind = self._known, self._kind(candidate)
        nearest = max((_alike(one, candidate, kind) for one in known), default=())
        return median([one.seconds for one in known if _alike(one, candidate, kind) == nearest] or [0.0])

    @property
    def _known(self) -> list[Taken]:
        return [one for one in self.taken if one.whole] or self.taken

    def _kind(self, candidate: Candidate) -> Kind:
        """By what it changes, and by what was tried before."""
        if candidate.parts:
            return Kind.PARTS
        if any(replace(one.candidate, session=candidate.session) == candidate for one in self.taken):
            return Kind.SESSION
        if candidate.floats:
            return Kind.FLOATS
        return Kind.CALIBRATOR if candidate.calibrator else Kind.RECIPE

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
        usual = fmean(one.seconds for one in self._known) if self.taken else 0.0
        seconds = min(sum(known) + usual * (ahead - len(known)), self.left)
        told = f"trial {tried + 1} of about {tried + ahead}"
        return f"{told}, about {max(seconds, 1):.0f} s left" if self.taken else told


def _alike(one: Taken, candidate: Candidate, kind: Kind) -> tuple[bool, ...]:
    """What both have in common, that which decides most about the time first: the greater, the more alike."""
    same, recipe = one.kind is kind, one.candidate.recipe == candidate.recipe
    runtime = one.candidate.runtime == candidate.runtime
    both = recipe and runtime
    return same and both, same and recipe, same and runtime, both, recipe, same, runtime
