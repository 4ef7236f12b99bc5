"""The fake search."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fdpipe.artifacts import (
    Candidate,
    Trial,
)
from fdpipe.interfaces import Space

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, kw_only=True)
class FakeSearch:
    """Every recipe on every runtime in its default session, one candidate a round; all that succeeded are finalists."""

    def propose(self, space: Space, trials: Sequence[Trial]) -> Sequence[Candidate]:
        """The first that was not tried."""
        tried = {trial.candidate.name for trial in trials}
        every = [
            Candidate(runtime=runtime, recipe=recipe, session=sessions[0])
            for runtime, sessions in space.runtimes.items()
            for recipe in space.recipes
        ]
        return [candidate for candidate in every if candidate.name not in tried][:1]

    def finalists(self, trials: Sequence[Trial]) -> Sequence[Trial]:
        """Those that succeeded."""
        return [trial for trial in trials if trial.succeeded]
