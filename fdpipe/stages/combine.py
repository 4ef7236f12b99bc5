"""combine: several models as one artifact, of which a call's number of rows chooses."""

from dataclasses import dataclass
from pathlib import Path

from fdpipe.artifacts import Artifact
from fdpipe.errors import NotApplicable
from fdpipe.interfaces import Runtime, Session
from fdpipe.store import stage


@dataclass(frozen=True, kw_only=True)
class Part:
    """From so many rows in a call on, this model in this runtime."""

    rows: int
    runtime: Runtime
    session: Session
    artifact: Artifact


@stage()
def combine(folder: Path, parts: tuple[Part, ...], baseline: Artifact) -> Artifact:
    """The parts' models side by side, with what says which is asked."""
    raise NotApplicable("parts cannot be combined")
