"""The fake processor."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.artifacts import (
    SourceModel,
    TensorSpec,
)


@dataclass(frozen=True, kw_only=True)
class FakeProcessor:
    """Hands everything through."""

    bound: bool = False

    def accepts(self, model: SourceModel) -> bool:
        """Models that take tensors."""
        return not model.columns

    def bind(self, model: SourceModel, inputs: Sequence[TensorSpec], folder: Path) -> "FakeProcessor":
        """There is nothing to know but that it happened."""
        return replace(self, bound=True)

    def prepare(self, records: Batch) -> dict[str, np.ndarray]:
        """The input named x."""
        if "x" not in records:
            raise ValueError("the input x is missing")
        return {"x": np.asarray(records["x"], np.float32)}

    def finish(self, outputs: Batch) -> dict[str, np.ndarray]:
        """All outputs."""
        return dict(outputs)
