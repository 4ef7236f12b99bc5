"""Tensors as they are: the records are the graph's inputs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fdpipe import pretrained
from fdpipe.arrays import Batch, check_names, fit
from fdpipe.artifacts import SourceModel, TensorSpec


@dataclass(frozen=True, kw_only=True)
class Plain:
    """`inputs` are the graph's, `names` what the records call them; `bind` fills both."""

    inputs: tuple[TensorSpec, ...] = ()
    names: tuple[str, ...] = ()

    def accepts(self, model: SourceModel) -> bool:
        """Every model whose inputs are no data frame's columns, but for texts and images."""
        return not model.columns and not pretrained.is_processed(model)

    def bind(self, model: SourceModel, inputs: Sequence[TensorSpec], folder: Path) -> "Plain":
        """By name; a single input may be called otherwise in the signature than in the graph."""
        names = tuple(spec.name for spec in inputs)
        if len(inputs) == len(model.inputs) == 1:
            names = (model.inputs[0].name,)
        return replace(self, inputs=tuple(inputs), names=names)

    def prepare(self, records: Batch) -> dict[str, np.ndarray]:
        """Each input in the graph's dtype; its shape must be the graph's."""
        check_names(records, self.names)
        return {spec.name: _fitted(records[name], spec, name) for name, spec in zip(self.names, self.inputs, strict=True)}

    def finish(self, outputs: Batch) -> dict[str, np.ndarray]:
        """The outputs as they are."""
        return dict(outputs)


def _fitted(array: np.ndarray, spec: TensorSpec, name: str) -> np.ndarray:
    array = np.asarray(array)
    fixed = [(axis, size) for axis, size in enumerate(spec.shape) if axis > 0 and isinstance(size, int)]
    if array.ndim != len(spec.shape) or any(array.shape[axis] != size for axis, size in fixed):
        wanted = ", ".join(map(str, spec.shape))
        raise ValueError(f"{name} must have the shape ({wanted}), got {array.shape}")
    return fit(array, spec.dtype, name)
