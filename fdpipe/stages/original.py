"""original: the registered model itself, for a runtime that is the library it was trained with."""

from pathlib import Path

import numpy as np

from fdpipe import libraries
from fdpipe.artifacts import Artifact, SourceModel, TensorSpec
from fdpipe.content import files_below, tree_digest
from fdpipe.errors import NotApplicable
from fdpipe.libraries.answers import line
from fdpipe.store import stage

NATIVE = libraries.KIND
"""The kind of artifact that it is."""

ASKED = 2
"""Rows of zeros, to see what it answers."""


@stage(packages=libraries.PACKAGES)
def original(folder: Path, model: SourceModel, baseline: Artifact) -> Artifact:
    """Its own file as an artifact with the inputs and outputs of the converted one; `NotApplicable` for a model that no
    library is asked for, that takes anything but one table of numbers, or that answers otherwise than its export;
    `MissingExtra` where its library is not installed."""
    given = _only_input(model, baseline)
    target = folder / "model"
    target.mkdir()
    path = libraries.keep(model, target)
    _compare(path, given, baseline)
    return Artifact(
        kind=NATIVE,
        path=path,
        digest=tree_digest(target),
        size_bytes=sum(file.stat().st_size for file in files_below(target)),
        inputs=baseline.inputs,
        outputs=baseline.outputs,
    )


def _only_input(model: SourceModel, baseline: Artifact) -> TensorSpec:
    """The table of numbers that the library is given."""
    if baseline.kind != "onnx":
        raise NotApplicable(f"{model.ref.name} was not converted to ONNX but to {baseline.kind}")
    if len(baseline.inputs) != 1:
        raise NotApplicable(f"{model.ref.name} takes {len(baseline.inputs)} tensors: its library is asked with one")
    (given,) = baseline.inputs
    if given.dtype == "string" or len(given.shape) != 2 or not isinstance(given.shape[1], int):
        raise NotApplicable(f"{model.ref.name} takes {given.dtype} of shape {given.shape}: it must be a table of numbers")
    return given


def _compare(path: Path, given: TensorSpec, baseline: Artifact) -> None:
    """`NotApplicable` where it has not the export's answers, by their names and numbers of axes."""
    try:
        found = libraries.open_model(path, threads=1)(np.zeros((ASKED, int(given.shape[1])), given.dtype))
    except libraries.failures_of(path) as error:
        raise NotApplicable(f"its library cannot answer a table of numbers: {line(error)}") from error
    for spec in baseline.outputs:
        answer = found.get(spec.name)
        if answer is None or len(answer) != ASKED:
            raise NotApplicable(f"its library has no answer {spec.name!r}, which its export has")
        if (answer.dtype.kind in "OUS") != (spec.dtype == "string"):
            raise NotApplicable(f"its library answers {spec.name!r} as {answer.dtype}, its export as {spec.dtype}")
