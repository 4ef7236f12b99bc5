"""A data frame's columns → tensors: one of shape (rows, 1) for each column, or all of them side by side in one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fdpipe import pretrained
from fdpipe.arrays import Batch, check_names, fit
from fdpipe.artifacts import SourceModel, TensorSpec


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column's name, and the dtype and name of the tensor that it goes to."""

    name: str
    dtype: str
    tensor: str


@dataclass(frozen=True, kw_only=True)
class Tabular:
    """`columns` in the model's order, which `bind` fills. Missing values are NaN, or the empty string."""

    columns: tuple[Column, ...] = ()

    def accepts(self, model: SourceModel) -> bool:
        """A model whose signature has columns, but for texts and images."""
        return model.columns and not pretrained.is_processed(model)

    def bind(self, model: SourceModel, inputs: Sequence[TensorSpec], folder: Path) -> "Tabular":
        """All columns to the graph's only input, or each to its own: by name, or else in order (an export may rename)."""
        named = {spec.name: spec for spec in inputs}
        if len(inputs) == 1:
            specs = [inputs[0]] * len(model.inputs)
        elif all(column.name in named for column in model.inputs):
            specs = [named[column.name] for column in model.inputs]
        else:
            specs = list(inputs)
        pairs = zip(model.inputs, specs, strict=True)
        return replace(
            self,
            columns=tuple(Column(name=column.name, dtype=spec.dtype, tensor=spec.name) for column, spec in pairs),
        )

    def prepare(self, records: Batch) -> dict[str, np.ndarray]:
        """Columns of shape (rows,) or (rows, 1) → tensors of shape (rows, columns)."""
        check_names(records, [column.name for column in self.columns])
        tensors: dict[str, list[np.ndarray]] = {}
        for column in self.columns:
            tensors.setdefault(column.tensor, []).append(_fitted(records[column.name], column))
        return {name: parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1) for name, parts in tensors.items()}

    def finish(self, outputs: Batch) -> dict[str, np.ndarray]:
        """The outputs as they are."""
        return dict(outputs)


def _fitted(array: np.ndarray, column: Column) -> np.ndarray:
    array = np.asarray(array)
    if array.shape not in ((len(array),), (len(array), 1)):
        raise ValueError(f"{column.name} must have one value a row, got the shape {array.shape}")
    return fit(array, column.dtype, column.name).reshape(-1, 1)
