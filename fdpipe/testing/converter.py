"""The fake converter."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.artifacts import (
    SourceModel,
    Task,
)
from fdpipe.interfaces import Export
from fdpipe.testing.model import INPUTS, OUTPUTS, FakeModel, answer


@dataclass(frozen=True, kw_only=True)
class FakeConverter:
    """Copies the model; with `drift_percent` the copy answers that share of rows otherwise than the original."""

    packages: ClassVar[tuple[str, ...]] = ()

    drift_percent: int = 0

    def accepts(self, model: SourceModel) -> bool:
        """Only the fake flavour."""
        return model.flavour == "fake"

    def export(self, model: SourceModel, folder: Path) -> Export:
        """A file named as any other export."""
        path = folder / "model.onnx"
        original = FakeModel.load(model.path / "model.json")
        replace(original, wrong_percent=original.wrong_percent + self.drift_percent).save(path)
        return Export(path=path, task=Task.CLASSIFICATION, inputs=INPUTS, outputs=OUTPUTS)

    def predict(self, model: SourceModel, features: Batch) -> dict[str, np.ndarray]:
        """The original's answers."""
        return answer(features, FakeModel.load(model.path / "model.json").wrong_percent)
