"""FastAPI with a model of pydantic for what comes and one for what goes."""

from pathlib import Path

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(Path(__file__).with_name("model.onnx"), options, providers=["CPUExecutionProvider"])
Floats = list[list[float]] if len(session.get_inputs()[0].shape) == 2 else list[list[list[list[float]]]]
app = FastAPI()


class Asked(BaseModel):
    """Rows."""

    x: Floats  # type: ignore[valid-type]


class Answered(BaseModel):
    """Of each row."""

    probabilities: list[list[float]]


@app.post("/predict")
def predict(asked: Asked) -> Answered:
    """Probabilities."""
    found = session.run(["probabilities"], {"x": np.array(asked.x, np.float32)})[0]
    return Answered(probabilities=found.tolist())
