"""The fake converter, and one that does harm."""

from dataclasses import dataclass, replace
from enum import StrEnum
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
from fdpipe.testing.harms import HARMS
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


class Moment(StrEnum):
    """When the harm is done."""

    LOAD = "load"
    EXPORT = "export"
    PREDICT = "predict"


@dataclass(frozen=True, kw_only=True)
class HarmfulConverter(FakeConverter):
    """Does what a model with code in it may do: one of `fdpipe.testing.harms`, to `target`, at its moment. `code` is what
    it says of its risk; where the harm says something, that is the answer `said` beside the usual ones."""

    harm: str
    target: str = ""
    at: Moment = Moment.PREDICT
    code: str | None = None

    def risk(self, model: SourceModel) -> str | None:
        """What it was told to say."""
        return self.code

    def load(self, model: SourceModel) -> FakeModel:
        """Harm, or load."""
        self._at(Moment.LOAD)
        return super().load(model)

    def export(self, model: SourceModel, original: FakeModel, folder: Path, precision: Precision) -> Export:
        """Harm, or export."""
        self._at(Moment.EXPORT)
        return super().export(model, original, folder, precision)

    def predict(self, model: SourceModel, original: FakeModel, features: Batch) -> dict[str, np.ndarray]:
        """Harm, or answer."""
        said = self._at(Moment.PREDICT)
        return super().predict(model, original, features) | ({} if said is None else {"said": np.array([said])})

    def _at(self, moment: Moment) -> str | None:
        return HARMS[self.harm](self.target) if moment is self.at else None
