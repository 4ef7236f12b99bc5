"""combine: several models as one artifact, of which a call's number of rows chooses."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fdpipe import parts as several
from fdpipe import workers
from fdpipe.artifacts import Artifact
from fdpipe.content import files_below, fingerprint, tree_digest
from fdpipe.errors import NotApplicable
from fdpipe.interfaces import Runtime, Session
from fdpipe.parts import Parts, PartSpec
from fdpipe.store import provenance, stage


@dataclass(frozen=True, kw_only=True)
class Part:
    """From so many rows in a call on, this model in this runtime."""

    rows: int
    runtime: Runtime
    session: Session
    artifact: Artifact


@stage()
def combine(folder: Path, parts: tuple[Part, ...], baseline: Artifact) -> Artifact:
    """The parts' models side by side, with what says which is asked. `NotApplicable` for parts that do not follow each other,
    and for one that takes or answers anything else than the converted model, by name or type."""
    for part in parts:
        if told := several.differences(baseline, part.artifact):
            raise NotApplicable(f"the part from {part.rows} rows on is no stand-in: {told[0]}")
    target = folder / "model"
    target.mkdir()
    try:
        found = Parts(
            parts=tuple(_copied(parts, target)),
            code=fingerprint(provenance.sources(several.__name__, parts)),
            versions=provenance.versions(parts),
        )
    except ValueError as error:
        raise NotApplicable(f"the parts cannot be combined: {error}") from error
    return Artifact(
        kind=several.KIND,
        path=several.write(found, target),
        digest=tree_digest(target),
        size_bytes=sum(file.stat().st_size for file in files_below(target)),
        inputs=baseline.inputs,
        outputs=baseline.outputs,
    )


def _copied(parts: Sequence[Part], target: Path) -> Iterator[PartSpec]:
    """Each model in a folder of its own, equal ones once, and what it was made from left out."""
    folders: dict[tuple[str, str], Path] = {}
    for part in parts:
        artifact = part.artifact
        key = (artifact.kind, artifact.digest)
        if key not in folders:
            folders[key] = target / f"model_{len(folders) + 1}"
            shutil.copytree(artifact.folder, folders[key])
        path = folders[key] / artifact.path.relative_to(artifact.folder)
        yield PartSpec(
            rows=part.rows,
            runtime=workers.spec("runtime", part.runtime),
            session=dict(part.session),
            artifact=replace(artifact, path=path, provenance=None),
        )
