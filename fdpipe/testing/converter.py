"""The fake converter."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.artifacts import (
    Precision,
    SourceModel,
    Task,
)
from fdpipe.interfaces import Export
from fdpipe.testing.model import INPUTS, OUTPUTS, FakeModel, answer


@dataclass(frozen=True, kw_only=True)
class FakeConverter:
    """Copies the model; with `drift_percent` the copy answers that share of rows otherwise than the original."""

    kind: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ()
    exporter: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ""

    drift_percent: int = 0

    def accepts(self, model: SourceModel) -> bool:
        """Only the fake flavour."""
        return model.flavour == "fake"

    def risk(self, model: SourceModel) -> str | None:
        """None."""
        return None

    def load(self, model: SourceModel) -> FakeModel:
        """Read the file."""
        return FakeModel.load(model.path / "model.json")

    def export(self, model: SourceModel, original: FakeModel, folder: Path, precision: Precision) -> Export:
        """A file named as any other export."""
        path = folder / "model.onnx"
        replace(original, wrong_percent=original.wrong_percent + self.drift_percent).save(path)
        return Export(path=path, task=Task.CLASSIFICATION, inputs=INPUTS, outputs=OUTPUTS)

    def predict(self, model: SourceModel, original: FakeModel, features: Batch) -> dict[str, np.ndarray]:
        """The original's answers."""
        return answer(features, original.wrong_percent)
