"""The fake dataset."""

from dataclasses import dataclass

import numpy as np

from fdpipe.arrays import label_of
from fdpipe.artifacts import (
    Examples,
    ModelRef,
)
from fdpipe.testing.model import answer


@dataclass(frozen=True, kw_only=True)
class FakeDataset:
    """Random rows with the fake model's own labels, or without labels; another `seed` gives rows that share none."""

    rows: int = 64
    seed: int = 0
    labelled: bool = True

    def identity(self, ref: ModelRef) -> str:
        """The settings say all."""
        return f"fake rows {self.rows} {self.seed} {self.labelled}"

    def read(self, ref: ModelRef) -> Examples:
        """The rows; the same for every version."""
        features = {"x": np.random.default_rng(self.seed).normal(size=(self.rows, 4)).astype(np.float32)}
        return Examples(features=features, labels=label_of(answer(features)) if self.labelled else None)
