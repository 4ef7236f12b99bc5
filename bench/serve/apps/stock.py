"""BentoML as its documentation has it: arrays of numpy in JSON; alone in `Stock`, joined in `Batched`."""

from pathlib import Path
from typing import Annotated

import bentoml
import numpy as np
import onnxruntime
from bentoml.validators import DType

MODEL = Path(__file__).with_name("model.onnx")
Floats = Annotated[np.ndarray, DType("float32")]


def opened() -> onnxruntime.InferenceSession:
    """The model, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])


@bentoml.service(workers=1)
class Stock:
    """As it comes."""

    def __init__(self) -> None:
        self.session = opened()

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, x: Floats) -> Floats:
        """Probabilities."""
        found: np.ndarray = self.session.run(["probabilities"], {"x": x})[0]
        return found


@bentoml.service(workers=1)
class Batched:
    """With its own batching."""

    def __init__(self) -> None:
        self.session = opened()

    @bentoml.api(batchable=True)  # type: ignore[untyped-decorator]
    def predict(self, x: Floats) -> Floats:
        """Probabilities."""
        found: np.ndarray = self.session.run(["probabilities"], {"x": x})[0]
        return found
