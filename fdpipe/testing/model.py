"""The fake model that every fake speaks of: a few numbers in a JSON file."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from fdpipe.arrays import Batch
from fdpipe.artifacts import (
    TensorSpec,
)
from fdpipe.errors import StageError
from fdpipe.testing.flaws import FLAWS

INPUTS = (TensorSpec(name="x", dtype="float32", shape=("rows", 4)),)


OUTPUTS = (TensorSpec(name="probabilities", dtype="float32", shape=("rows", 3)),)


WEIGHTS = np.array([[2.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 2.0], [1.0, 0.0, -1.0]], np.float32)


def answer(features: Batch, wrong_percent: int = 0, flaw: str = "") -> dict[str, np.ndarray]:
    """What the fake model says; of each hundred values that the first number can have, `wrong_percent` mislead it. A `flaw` is
    one of `fdpipe.testing.flaws`."""
    x = np.asarray(features["x"], np.float32)
    scores = x @ WEIGHTS
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    misled = np.floor(np.abs(x[:, 0]) * 1e4) % 100 < wrong_percent
    scores[misled] = np.roll(scores[misled], 1, axis=1)
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    return {"probabilities": FLAWS[flaw](x, probabilities) if flaw else probabilities}


@dataclass(frozen=True, kw_only=True)
class FakeModel:
    """What is in the file of a model. `microseconds` is how long a call takes, whatever the batch, and `weight` how many more
    bytes the file has."""

    version: str = ""
    wrong_percent: int = 0
    microseconds: float = 0.0
    flaw: str = ""
    weight: int = 0

    @classmethod
    def load(cls, path: Path) -> "FakeModel":
        """Read the file; `StageError` where it is none."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError) as error:
            raise StageError(f"{path.name} is no fake model: {error}") from error

    def save(self, path: Path) -> None:
        """Write the file."""
        path.write_bytes(msgspec.json.encode(self) + b" " * self.weight)
