"""What a release carries so that its model can be opened: the workers that open it, and the distributions that they need."""

from collections.abc import Iterator

from packaging.requirements import Requirement

from fdpipe import libraries, parts, workers
from fdpipe.artifacts import Artifact
from fdpipe.interfaces import Runtime
from fdpipe.mlmodel import requirements_of


def opening(runtime: Runtime, artifact: Artifact) -> Iterator[tuple[Runtime, Artifact]]:
    """The runtime with its artifact and, where that has parts, each part's."""
    yield runtime, artifact
    if artifact.kind == parts.KIND:
        for part in parts.read(artifact.path).parts:
            yield from opening(workers.build_spec(part.runtime), part.artifact)


def packages_of(runtime: Runtime, artifact: Artifact) -> list[str]:
    """The distributions by which it is opened: of a native model only its own library's, of a registered model beside the
    runtime's those of its requirements."""
    found: list[str] = []
    for one, model in opening(runtime, artifact):
        if model.kind == libraries.KIND:
            found += libraries.packages_of(model.path)
            continue
        found += type(one).packages
        if model.kind == "mlflow":
            found += [Requirement(line).name for line in requirements_of(model.path)]
    return list(dict.fromkeys(found))


def modules_of(runtime: Runtime, artifact: Artifact) -> list[str]:
    """The modules of the workers that open it."""
    return list(dict.fromkeys(type(one).__module__ for one, _ in opening(runtime, artifact)))
