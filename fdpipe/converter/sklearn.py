"""scikit-learn's estimators, alone or at the end of a pipeline, exported with skl2onnx."""

import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fdpipe import graphs
from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel, TensorSpec
from fdpipe.converter._sklearn_graph import graph_of
from fdpipe.errors import ConversionError
from fdpipe.interfaces import Export
from fdpipe.libraries.estimators import answering_of, ask, takes_values
from fdpipe.libraries.sklearn import REFUSALS, load
from fdpipe.mlmodel import flavour_file

DAMAGES = (*REFUSALS, pickle.UnpicklingError, ImportError, EOFError, OSError, zipfile.BadZipFile)
"""What a file raises that cannot be loaded."""


@dataclass(frozen=True, kw_only=True)
class Sklearn:
    """No settings. Floats are float32 in the graph, or float64 where that is asked for. Train with missing strings as ""."""

    kind: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "skops")
    exporter: ClassVar[tuple[str, ...]] = (
        "skl2onnx>=1.20,<1.21", "onnx>=1.17,<1.24", "onnxruntime>=1.23,<1.33", "skops>=0.12,<0.15", "pandas>=2,<4"
    )  # fmt: skip
    extra: ClassVar[str] = ""

    def accepts(self, model: SourceModel) -> bool:
        """MLflow's sklearn flavour."""
        return model.flavour == "sklearn"

    def risk(self, model: SourceModel) -> str | None:
        """A pickle, or a relative of it; skops holds no code."""
        return None if model.serialization == "skops" else f"a {model.serialization} file"

    def load(self, model: SourceModel) -> Any:  # noqa: ANN401 - an estimator has no type of its own
        """The estimator."""
        path = flavour_file(model.path, "pickled_model")
        readers = {"skops": load, "joblib": _load_joblib}
        try:
            return readers.get(model.serialization, _load_pickle)(path)
        except DAMAGES as error:
            raise ConversionError(f"{path.name} cannot be loaded as {model.serialization}: {_line(error)}") from error

    def export(self, model: SourceModel, original: Any, folder: Path, precision: Precision) -> Export:  # noqa: ANN401
        """Outputs `label` and `probabilities` (where the estimator has them), or `value` of shape (rows, targets); of an
        outlier detector `label` and `scores`, of a transformer `transformed`, of neighbours `index` and `distance`."""
        answering = answering_of(original)
        path = folder / "model.onnx"
        graphs.write(graph_of(original, model, answering, precision), path)
        _refuse_unopened(path, type(original).__name__, precision)
        inputs, outputs = graphs.specs(path)
        return Export(path=path, task=answering.task, inputs=inputs, outputs=outputs)

    def predict(self, model: SourceModel, original: Any, features: Batch) -> dict[str, np.ndarray]:  # noqa: ANN401
        """scikit-learn's own answers: labels as int64 or strings, everything else as float32."""
        answering = answering_of(original)
        given = _as_fitted(model, features, values=takes_values(original))
        try:
            return ask(original, answering, given)
        except REFUSALS as error:
            raise ConversionError(f"the original cannot answer: {_line(error)}") from error


def _load_pickle(path: Path) -> Any:  # noqa: ANN401 - an estimator has no type of its own
    import cloudpickle

    with path.open("rb") as stream:
        return cloudpickle.load(stream)


def _load_joblib(path: Path) -> Any:  # noqa: ANN401 - an estimator has no type of its own
    import joblib  # type: ignore[import-untyped]

    return joblib.load(path)


def _refuse_unopened(path: Path, name: str, precision: Precision) -> None:
    """`ConversionError` for an export that ONNX Runtime cannot open: it knows more rules than the exporter."""
    import onnxruntime

    try:
        onnxruntime.InferenceSession(str(path), graphs.options_for(path), providers=["CPUExecutionProvider"])
    except graphs.library_errors() as error:
        said = _line(error).replace(str(path), path.name)
        raise ConversionError(f"onnxruntime cannot open what skl2onnx makes of this {name} in {precision}: {said}") from error


def _as_fitted(model: SourceModel, features: Batch, *, values: bool) -> Any:  # noqa: ANN401 - a data frame or an array
    """The features as the model was trained on: a data frame with its columns, or the tensor; only `values` one a row."""
    arrays = {spec.name: _typed(features[spec.name], spec) for spec in model.inputs}
    if not model.columns or values:
        array = arrays[model.inputs[0].name]
        return array.reshape(len(array)) if values else array
    import pandas as pd

    return pd.DataFrame({name: array.reshape(len(array)) for name, array in arrays.items()})


def _typed(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    return array.astype(object if spec.dtype == "string" else spec.dtype)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:400] or type(error).__name__
