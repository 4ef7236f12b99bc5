"""A model as MLflow's python_function loads and asks it, with its answers as arrays."""

from typing import Any

import numpy as np

from fdpipe import extras
from fdpipe.arrays import Batch
from fdpipe.artifacts import SourceModel, Task
from fdpipe.errors import ConversionError

WHOLE = ("int32", "int64", "bool", "string")
"""Answers of these types are labels, of others they are values."""

PACKAGES = ("mlflow", "pandas")

EXPORTER = ("mlflow>=2.9,<4", "pandas>=2,<4")

RISK = "a python_function model"
"""MLflow loads it by whatever module its MLmodel file names, and most of these unpickle."""


def load(model: SourceModel) -> Any:  # noqa: ANN401 - MLflow's own type
    """MLflow's `PyFuncModel`; `ConversionError` with what it says."""
    pyfunc = extras.require("mlflow.pyfunc", extra="")
    try:
        return pyfunc.load_model(str(model.path))
    except Exception as error:
        raise ConversionError(f"MLflow cannot load {model.ref.name}: {_line(error)}") from error


def ask(model: SourceModel, original: Any, features: Batch) -> dict[str, np.ndarray]:  # noqa: ANN401
    """Its answers: `label` or `value`, or arrays by the names of its signature; `ConversionError` for rows that it refuses."""
    try:
        found = original.predict(_as_logged(model, features))
    except Exception as error:
        raise ConversionError(f"the original cannot answer: {_line(error)}") from error
    return _answers(model, found)


def task_of(model: SourceModel) -> Task:
    """What the signature's outputs say: one figure a row is a label or a value, anything else is tensors."""
    if len(model.outputs) != 1 or len(model.outputs[0].shape) > 2 or model.outputs[0].shape[1:] not in ((), (1,)):
        return Task.TENSORS
    return Task.CLASSIFICATION if model.outputs[0].dtype in WHOLE else Task.REGRESSION


def _as_logged(model: SourceModel, features: Batch) -> Any:  # noqa: ANN401 - a data frame, an array, or arrays by name
    """The features as the signature has them."""
    typed = {
        spec.name: np.asarray(features[spec.name]).astype(object if spec.dtype == "string" else spec.dtype)
        for spec in model.inputs
    }
    if model.columns:
        import pandas as pd

        return pd.DataFrame({name: array.reshape(len(array)) for name, array in typed.items()})
    return typed if len(typed) > 1 else typed[model.inputs[0].name]


def _answers(model: SourceModel, found: Any) -> dict[str, np.ndarray]:  # noqa: ANN401 - whatever a model answers
    """A data frame, a series, an array, a list or a mapping as arrays by name."""
    task = task_of(model)
    if task is not Task.TENSORS:
        array = _plain(next(iter(found.values())) if isinstance(found, dict) else found)
        if array.ndim > 2 or array.size != len(array):
            raise ConversionError(f"the original answers with the shape {array.shape}, its signature says one figure a row")
        if task is Task.CLASSIFICATION:
            return {"label": array.reshape(len(array))}
        return {"value": array.reshape(len(array), 1)}
    names = [spec.name for spec in model.outputs]
    if isinstance(found, dict) or hasattr(found, "columns"):
        if missing := [name for name in names if name not in found]:
            raise ConversionError(f"the original has no answer {missing[0]!r}, which its signature names")
        return {name: _plain(found[name]) for name in names}
    if len(names) == 1:
        return {names[0]: _plain(found)}
    array = _plain(found)
    if array.ndim != 2 or array.shape[1] != len(names):
        raise ConversionError(f"the original answers with the shape {array.shape}, its signature names {len(names)} columns")
    return {name: array[:, number] for number, name in enumerate(names)}


def _plain(found: Any) -> np.ndarray:  # noqa: ANN401 - a series, an array, a list
    """Floats as float64, whole numbers as int64, everything else as text."""
    array = np.asarray(found)
    if array.dtype.kind in "f":
        return array.astype(np.float64)
    return array.astype(np.int64) if array.dtype.kind in "biu" else array.astype(str)


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
