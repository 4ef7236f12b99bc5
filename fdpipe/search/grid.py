"""Every combination, once."""

from collections.abc import Sequence
from dataclasses import dataclass

from fdpipe.artifacts import Candidate, Trial
from fdpipe.interfaces import Space


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Each runtime, in its default session, with each recipe; all that succeed are finalists."""

    def propose(self, space: Space, trials: Sequence[Trial]) -> Sequence[Candidate]:
        """All combinations that were not tried yet, and so none at the second call."""
        tried = {trial.candidate.name for trial in trials}
        every = [
            Candidate(runtime=runtime, recipe=recipe, session=sessions[0])
            for runtime, sessions in space.runtimes.items()
            for recipe in space.recipes
        ]
        return [candidate for candidate in every if candidate.name not in tried]

    def finalists(self, trials: Sequence[Trial]) -> Sequence[Trial]:
        """The succeeded ones."""
        return [trial for trial in trials if trial.succeeded]
