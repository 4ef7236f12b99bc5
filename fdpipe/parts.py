"""Several models as one artifact, of which a call's number of rows chooses: `parts.json`, and what stands in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from fdpipe.artifacts import Artifact, WorkerSpec
from fdpipe.content import from_json, to_json
from fdpipe.errors import StageError

KIND = "parts"
"""The kind of artifact."""

FILE = "parts.json"
"""What the artifact's path names; the parts' models lie in folders beside it."""


@dataclass(frozen=True, kw_only=True)
class PartSpec:
    """From so many rows in a call on: this model, opened by this runtime with this session."""

    rows: int
    runtime: WorkerSpec
    session: Mapping[str, int | float | str | bool]
    artifact: Artifact


@dataclass(frozen=True, kw_only=True)
class Parts:
    """`parts.json`: the parts by their rows, the first from 1 on. `code` digests their runtimes' own, `versions` are those of
    the libraries: what answers is another model where one of these is another."""

    parts: tuple[PartSpec, ...]
    code: str
    versions: Mapping[str, str]

    def __post_init__(self) -> None:
        """The parts in order, and none of them made of parts itself."""
        rows = [part.rows for part in self.parts]
        if not rows or rows[0] != 1 or any(one >= other for one, other in pairwise(rows)):
            raise ValueError(f"parts must be from 1 row on and each from more rows than the one before, not from {rows}")
        if any(part.artifact.kind == KIND for part in self.parts):
            raise ValueError("a part cannot be made of parts")


def write(parts: Parts, folder: Path) -> Path:
    """Write `parts.json` into the folder in which the parts' models lie; its path."""
    (folder / FILE).write_bytes(to_json(parts, folder))
    return folder / FILE


def read(path: Path) -> Parts:
    """What `parts.json` says, its paths where they are now; `StageError` for what is none."""
    try:
        return from_json(path.read_bytes(), Parts, path.parent)
    except (OSError, ValueError) as error:
        raise StageError(f"{path.name} does not say what its parts are: {' '.join(str(error).split())}") from error


def rows_of(artifact: Artifact) -> tuple[int, ...]:
    """From how many rows in a call on it answers by another part than for one row; nothing for what is no such artifact."""
    return tuple(part.rows for part in read(artifact.path).parts[1:]) if artifact.kind == KIND else ()


def differences(wanted: Artifact, found: Artifact) -> Sequence[str]:
    """What two models take and give otherwise, by names and types; none where they can stand in for each other."""
    sides = (("takes", wanted.inputs, found.inputs), ("answers", wanted.outputs, found.outputs))
    told = []
    for verb, ours, theirs in sides:
        one, other = ({spec.name: spec.dtype for spec in specs} for specs in (ours, theirs))
        told += [
            f"it {verb} {name!r} as {other.get(name, 'nothing')}, the converted model as {one.get(name, 'nothing')}"
            for name in dict.fromkeys([*one, *other])
            if one.get(name) != other.get(name)
        ]
    return told
