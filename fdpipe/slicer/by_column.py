"""by_column: the rows that have the same value in a column, or values of the same range."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.artifacts import Examples
from fdpipe.errors import ConfigError, NotApplicable

MISSING = "missing"
"""The slice of the rows without a value: NaN, or an empty text."""


@dataclass(frozen=True, kw_only=True)
class ByColumn:
    """Of each column a slice for every value, where there are at most `most` different ones; of more numbers `bins` ranges that
    hold equally many rows. More different texts than that are no groups.

    `columns` names them: a feature of one dimension by its name, one of a matrix by `name.index`, as `x.3`. None means every
    feature of one dimension.
    """

    columns: tuple[str, ...] = ()
    most: int = 12
    bins: int = 4

    def __post_init__(self) -> None:
        """At least two groups."""
        if self.most < 2 or self.bins < 2:
            raise ValueError("most and bins must be at least 2")

    def slices(self, examples: Examples) -> Mapping[str, np.ndarray]:
        """`column=value`, or `column low–high`; `ConfigError` for a column that there is not."""
        features = examples.features
        chosen = {name: _column(features, name) for name in self.columns}
        every = chosen or {name: array for name, array in features.items() if array.ndim == 1}
        if not every:
            known = ", ".join(f"{name} of shape {array.shape[1:]}" for name, array in features.items())
            raise NotApplicable(f"no feature is a column: name some in columns, as x.3; there are {known}")
        found = {name: rows for column, values in every.items() for name, rows in self._of(column, values)}
        if not found:
            raise NotApplicable(f"{', '.join(every)}: more than most={self.most} different texts are no groups")
        return found

    def _of(self, column: str, values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        values = values.astype(str) if values.dtype.kind == "O" else values
        there = ~np.isnan(values) if values.dtype.kind == "f" else values != "" if values.dtype.kind in "US" else None
        present = np.ones(len(values), bool) if there is None else there
        different = np.unique(values[present])
        if len(different) <= self.most:
            yield from ((f"{column}={_shown(value)}", present & (values == value)) for value in different)
        elif values.dtype.kind in "iuf":
            yield from self._ranges(column, values, present)
        else:
            return
        if not present.all():
            yield f"{column} {MISSING}", ~present

    def _ranges(self, column: str, values: np.ndarray, present: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Between quantiles, each value in one; they are called by the least and the greatest value in them."""
        edges = np.unique(np.quantile(values[present], np.linspace(0, 1, self.bins + 1)[1:-1]))
        place = np.searchsorted(edges, values, side="right")
        masks = [rows for number in range(len(edges) + 1) if (rows := present & (place == number)).any()]
        ends = [(values[rows].min(), values[rows].max()) for rows in masks]
        for digits in (4, 9, 17):
            names = [f"{column} {low:.{digits}g}–{high:.{digits}g}" for low, high in ends]
            if len(set(names)) == len(names):
                break
        yield from zip(names, masks, strict=True)


def _column(features: Batch, name: str) -> np.ndarray:
    """The values of one column, one a row."""
    if name in features and features[name].ndim == 1:
        return features[name]
    of, _, index = name.rpartition(".")
    matrix = features.get(of)
    if matrix is not None and matrix.ndim == 2 and index.isdecimal() and int(index) < matrix.shape[1]:
        column: np.ndarray = matrix[:, int(index)]
        return column
    known = ", ".join(one if array.ndim == 1 else f"{one} of shape {array.shape[1:]}" for one, array in features.items())
    raise ConfigError(f"slicer.by_column.columns: there is no column {name!r}: it must be one of {known}, or name.index")


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)
