"""Rows in memory, for the Python API."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fdpipe.arrays import array_digest
from fdpipe.artifacts import LABELS, Examples, ModelRef


@dataclass(frozen=True, eq=False, kw_only=True)
class Arrays:
    """`features` by input or column name, `labels` of shape (rows, …) or None. A plan with it cannot be written down."""

    features: Mapping[str, np.ndarray]
    labels: np.ndarray | None = None

    def plain(self) -> str:
        """The digest of the content stands for it in keys."""
        return array_digest({**self.features, **({} if self.labels is None else {LABELS: self.labels})})

    def identity(self, ref: ModelRef) -> str:
        """The digest of the content."""
        return self.plain()

    def read(self, ref: ModelRef) -> Examples:
        """The rows."""
        return Examples(features=self.features, labels=self.labels)
