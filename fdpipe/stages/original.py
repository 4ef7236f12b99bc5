"""original: the registered model itself, for a runtime that is the library it was trained with."""

from pathlib import Path

from fdpipe.artifacts import Artifact, SourceModel
from fdpipe.errors import NotApplicable
from fdpipe.store import stage

NATIVE = "native"
"""The kind of artifact that it is."""


@stage()
def original(folder: Path, model: SourceModel, baseline: Artifact) -> Artifact:
    """Its files as an artifact with the inputs and outputs of the converted one; `NotApplicable` for a model whose library
    no runtime asks."""
    raise NotApplicable(f"no runtime opens {model.flavour} itself")
