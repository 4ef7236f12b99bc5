"""The original, kept apart: it is loaded, exported and asked where it can do no harm, and never unless it may."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel
from fdpipe.errors import ConversionError
from fdpipe.interfaces import Converter, Export
from fdpipe.plan import Conversion


class Original(Protocol):
    """An original that is open. `ConversionError` for what it refuses; after `OriginalLost` it can be asked no more."""

    def export(self, folder: Path, precision: Precision) -> Export:
        """What its converter makes of it, in `folder`, which is empty."""

    def predict(self, features: Batch) -> dict[str, np.ndarray]:
        """Its own answers."""


@contextmanager
def opened(converter: Converter, model: SourceModel, how: Conversion, scratch: Path) -> Iterator[Original]:
    """The model loaded by its converter; `scratch` is an empty folder for what is needed meanwhile.

    `ConversionError` for a model that holds code and is not trusted.
    """
    refuse_code(converter, model)
    yield Here(converter, model, converter.load(model))


def refuse_code(converter: Converter, model: SourceModel) -> None:
    """`ConversionError` where loading the model may run code that it holds, unless the user trusts it."""
    if (risk := converter.risk(model)) and not model.trusted:
        name = model.ref.name
        raise ConversionError(f"{name} holds code, {risk}: loading it would run that; if you trust it, say source.trust={name}")


@dataclass(frozen=True)
class Here:
    """An original in this very process."""

    converter: Converter
    model: SourceModel
    loaded: Any

    def export(self, folder: Path, precision: Precision) -> Export:
        """Call the converter."""
        return self.converter.export(self.model, self.loaded, folder, precision)

    def predict(self, features: Batch) -> dict[str, np.ndarray]:
        """Call the converter."""
        return self.converter.predict(self.model, self.loaded, features)
