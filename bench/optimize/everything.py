"""The exhaustive search, which others are measured by."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from fdpipe.artifacts import Candidate, Trial
from fdpipe.interfaces import Session
from fdpipe.space import Proposal, Space


class Extent(StrEnum):
    """How much is everything: each recipe in each runtime's default session; beside these each recipe in each session, and
    with each calibrator; or each recipe in each session with each calibrator."""

    DEFAULTS = "defaults"
    EACH = "each"
    CROSSED = "crossed"


@dataclass(frozen=True, kw_only=True)
class Everything:
    """All that a search can combine, to this extent, but for nodes in float and choices by rows."""

    locates: ClassVar[bool] = False

    extent: Extent = Extent.CROSSED

    def propose(self, space: Space, trials: Sequence[Trial]) -> Sequence[Proposal]:
        """What was not tried yet."""
        tried = {trial.candidate.name for trial in trials}
        every = [
            Candidate(runtime=runtime, recipe=recipe, session=session, calibrator=calibrator)
            for recipe, choice in space.recipes.items()
            for runtime in choice.runtimes
            if runtime != space.by_rows
            for session, calibrator in self._variants(space.runtimes[runtime], choice.calibrators)
        ]
        return [Proposal(candidate=one, why="everything is tried") for one in every if one.name not in tried]

    def _variants(self, sessions: Sequence[Session], calibrators: Sequence[str]) -> list[tuple[Session, str]]:
        if self.extent is Extent.DEFAULTS:
            return [(sessions[0], "")]
        others = sessions if self.extent is Extent.CROSSED else sessions[:1]
        return [*((session, "") for session in sessions), *((session, name) for name in calibrators for session in others)]

    def finalists(self, trials: Sequence[Trial]) -> Sequence[Trial]:
        """All that can be measured."""
        return [trial for trial in trials if trial.measurable]
