"""Rounds, each from what the earlier ones gave: the cheap first, and the fallback where it is needed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from fdpipe.artifacts import Trial
from fdpipe.search._fitting import first_round
from fdpipe.search._mending import mended, mended_so_far, relieved
from fdpipe.search._parts import by_rows
from fdpipe.search._standing import beaten, excess, is_passing, overall, ratio
from fdpipe.search._tuning import is_tuned, other_calibrators, other_sessions
from fdpipe.space import Proposal, Space

TYPICAL_ROUNDS = 6
"""So many sets of floats are mostly tried for a recipe that needs some."""
FEWEST = 2
"""So many finalists there are at least, where so many succeeded: the first impression may be wrong."""


@dataclass(frozen=True, kw_only=True)
class Auto:
    """Each recipe on each runtime; other calibrators and sessions for those that promise something; nodes back in float
    where the quality of a quantized one is refused, at most `max_rounds` times for each recipe; and one candidate for few
    rows beside another for many. At most `max_finalists` go to the benchmark."""

    locates: ClassVar[bool] = True

    max_finalists: int = 5
    max_rounds: int = 12

    def __post_init__(self) -> None:
        """Ranges."""
        if self.max_finalists < 1 or self.max_rounds < 0:
            raise ValueError("max_finalists must be at least 1, and max_rounds not negative")

    def propose(self, space: Space, trials: Sequence[Trial]) -> Sequence[Proposal]:
        """The next round's, the most promising first; the fallback's sets come one by one."""
        tried = {trial.candidate.name for trial in trials}
        for found in self._rounds(space, trials):
            new = {one.candidate.name: one for one in found if one.candidate.name not in tried}
            if new:
                return list(new.values())
        return []

    def _rounds(self, space: Space, trials: Sequence[Trial]) -> Iterator[Sequence[Proposal]]:
        yield list(first_round(space, trials))
        yield from self._in_turn(space, trials)
        yield list(other_calibrators(space, trials))
        yield list(relieved(space, trials))
        if not any(trial.candidate.parts for trial in trials):
            yield by_rows(space, trials)

    def _in_turn(self, space: Space, trials: Sequence[Trial]) -> list[Sequence[Proposal]]:
        """Other sessions, and sets of nodes in float: whichever had fewer trials, since neither may take all of the time."""
        floats = sum(bool(one.candidate.floats) for one in trials)
        sessions = sum(is_tuned(space, one.candidate) for one in trials)
        either: list[Sequence[Proposal]] = [mended(space, trials, self.max_rounds), list(other_sessions(space, trials))]
        return either if floats <= sessions else either[::-1]

    def outlook(self, space: Space, trials: Sequence[Trial]) -> int:
        """All rounds' proposals from what is known now; the fallback's come one by one, and so they are guessed."""
        tried = {trial.candidate.name for trial in trials}
        known = {one.candidate.name for found in self._rounds(space, trials) for one in found} - tried
        sets = [mended_so_far(one.candidate, trials) for one in mended(space, trials, self.max_rounds)]
        return len(known) + sum(max(min(TYPICAL_ROUNDS, self.max_rounds) - 1 - count, 0) for count in sets)

    def beaten(self, trial: Trial, trials: Sequence[Trial]) -> str:
        """By one that passes and is far faster at every batch size."""
        return beaten(trial, trials)

    def finalists(self, trials: Sequence[Trial]) -> Sequence[Trial]:
        """The fastest that the gate has nothing against, with those that cannot be told from the fastest; where it has
        something against every one, the few with least against them, for the verdict to say why."""
        able = [trial for trial in trials[1:] if trial.succeeded]
        passing = sorted((trial for trial in able if is_passing(trial)), key=ratio)
        if not passing:
            least = sorted(able, key=lambda trial: (len(trial.refusals), excess(trial), ratio(trial)))
            return least[: min(FEWEST, self.max_finalists)]
        fastest = overall(passing[0])
        near = [one for one in passing if fastest and (found := overall(one)) and found.low <= fastest.high]
        return passing[: min(max(FEWEST, len(near)), self.max_finalists)]
