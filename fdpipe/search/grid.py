"""Every combination, once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from fdpipe.artifacts import Candidate, Trial
from fdpipe.search._fitting import shut
from fdpipe.space import Proposal, Space


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Each runtime, in its default session, with each recipe that it opens; all that succeed are finalists. A runtime that
    cannot open the model as it is, and names no nodes that another recipe might do without, is asked once."""

    locates: ClassVar[bool] = False

    def propose(self, space: Space, trials: Sequence[Trial]) -> Sequence[Proposal]:
        """All combinations that were not tried yet, and so none at the second call."""
        tried, closed = {trial.candidate.name for trial in trials}, shut(trials)
        every = [
            Candidate(runtime=runtime, recipe=recipe, session=sessions[0])
            for runtime, sessions in space.runtimes.items()
            for recipe, choice in space.recipes.items()
            if runtime in choice.runtimes and runtime not in closed
        ]
        return [Proposal(candidate=candidate) for candidate in every if candidate.name not in tried]

    def finalists(self, trials: Sequence[Trial]) -> Sequence[Trial]:
        """The succeeded ones."""
        return [trial for trial in trials if trial.succeeded]
