"""scikit-learn's classifiers and regressors, alone or at the end of a pipeline, exported with skl2onnx."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fdpipe import graphs
from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel, Task, TensorSpec
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.interfaces import Export
from fdpipe.mlmodel import flavour_file

if TYPE_CHECKING:
    from onnx import ModelProto

TRUSTED = ("sklearn", "numpy", "scipy")
"""The packages whose classes a skops file may name."""

OUTPUTS = {Task.CLASSIFICATION: ("label", "probabilities"), Task.REGRESSION: ("value",)}

STACKED = "input"
"""The graph's input where all columns stand side by side."""


@dataclass(frozen=True, kw_only=True)
class Sklearn:
    """No settings. Floats are float32 in the graph. Train with missing strings as ""."""

    kind: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ("scikit-learn", "skl2onnx", "onnx", "skops")
    exporter: ClassVar[tuple[str, ...]] = ("skl2onnx>=1.17,<1.21", "onnx>=1.17,<1.24", "skops>=0.11,<0.15", "pandas>=2,<4")
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
        if model.serialization == "skops":
            return _load_skops(path)
        import cloudpickle

        with path.open("rb") as stream:
            return cloudpickle.load(stream)

    def export(self, model: SourceModel, original: Any, folder: Path, precision: Precision) -> Export:  # noqa: ANN401
        """Outputs `label` and `probabilities` (where the classifier has them), or `value` of shape (rows, targets)."""
        if precision is not Precision.FLOAT32:
            raise NotApplicable("skl2onnx is asked for float32 only")
        task = _task_of(original)
        converted = _convert(original, _initial_types(original, model), task)
        path = folder / "model.onnx"
        graphs.write(converted, path)
        inputs, outputs = graphs.specs(path)
        return Export(path=path, task=task, inputs=inputs, outputs=outputs)

    def predict(self, model: SourceModel, original: Any, features: Batch) -> dict[str, np.ndarray]:  # noqa: ANN401
        """scikit-learn's own answers: labels as int64 or strings, everything else as float32."""
        given = _as_fitted(model, features)
        try:
            if _task_of(original) is Task.REGRESSION:
                value = np.asarray(original.predict(given), dtype=np.float32)
                return {"value": value.reshape(len(value), -1)}
            answers = {"label": _labels(np.asarray(original.predict(given)))}
            if hasattr(original, "predict_proba"):
                answers["probabilities"] = np.asarray(original.predict_proba(given), dtype=np.float32)
            return answers
        except (ValueError, TypeError, KeyError) as error:
            raise ConversionError(f"the original cannot answer: {' '.join(str(error).split())[:400]}") from error


def _load_skops(path: Path) -> Any:  # noqa: ANN401 - an estimator has no type of its own
    """The estimator, if every type in its file is a class of the trusted packages."""
    import skops.io

    wanted = skops.io.get_untrusted_types(file=path)
    if foreign := [name for name in wanted if not _is_trusted(name)]:
        raise ConversionError(f"{path.name} names {foreign[0]}, which is no class of {', '.join(TRUSTED)}: refused")
    return skops.io.load(path, trusted=wanted)


def _is_trusted(name: str) -> bool:
    """Looked up among what scikit-learn has imported already: nothing is imported because a file names it."""
    module, _, word = name.rpartition(".")
    return module.partition(".")[0] in TRUSTED and isinstance(getattr(sys.modules.get(module), word, None), type)


def _task_of(estimator: Any) -> Task:  # noqa: ANN401 - an estimator has no type of its own
    from sklearn.base import is_classifier, is_regressor

    if is_classifier(estimator) and isinstance(getattr(estimator, "classes_", None), np.ndarray):
        return Task.CLASSIFICATION
    if is_regressor(estimator):
        return Task.REGRESSION
    raise ConversionError(f"{type(estimator).__name__} is neither a classifier of one label nor a regressor")


def _initial_types(estimator: Any, model: SourceModel) -> list[tuple[str, object]]:  # noqa: ANN401
    """skl2onnx's declaration of the inputs: one a column for a ColumnTransformer, or else a single tensor."""
    specs = model.inputs
    if not specs:
        raise ConversionError(f"{model.ref.name} has no signature: log it with signature=infer_signature(features, answers)")
    if not model.columns:
        if len(specs) > 1:
            raise ConversionError(f"{model.ref.name} has {len(specs)} tensors as inputs: scikit-learn takes one")
        return [(specs[0].name, _kind(specs[0].dtype, specs[0].shape[1:]))]
    if _takes_columns(estimator):
        return [(spec.name, _kind(spec.dtype, (1,))) for spec in specs]
    texts = {spec.dtype == "string" for spec in specs}
    if len(texts) > 1:
        raise ConversionError(f"{model.ref.name} mixes strings and numbers: its pipeline must begin with a ColumnTransformer")
    return [(STACKED, _kind("string" if True in texts else "float32", (len(specs),)))]


def _takes_columns(estimator: Any) -> bool:  # noqa: ANN401 - an estimator has no type of its own
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[0][1]
    return isinstance(estimator, ColumnTransformer)


def _kind(dtype: str, axes: Sequence[int | str]) -> object:
    """skl2onnx's type of a tensor with these axes after the rows."""
    from skl2onnx.common import data_types

    names = {"string": "String", "bool": "Boolean", "int64": "Int64", "int32": "Int32"}
    name = names.get(dtype, "Float")
    return getattr(data_types, f"{name}TensorType")([None, *(axis if isinstance(axis, int) else None for axis in axes)])


def _convert(estimator: Any, initial: list[tuple[str, object]], task: Task) -> "ModelProto":  # noqa: ANN401
    """The ONNX model with our names on its outputs and `rows` on its first axes."""
    from skl2onnx import convert_sklearn

    scored = hasattr(estimator, "predict_proba")
    failures: tuple[type[Exception], ...] = (*graphs.library_errors(), NameError, NotImplementedError)
    try:
        made = convert_sklearn(
            estimator,
            name="model",  # or else a random one, and no two exports would be the same
            initial_types=initial,
            final_types=[(name, None) for name in OUTPUTS[task]],
            options={"zipmap": False} if scored else None,
        )
    except failures as error:
        name = type(estimator).__name__
        raise ConversionError(f"skl2onnx cannot export this {name}: {' '.join(str(error).split())[:400]}") from error
    if task is Task.CLASSIFICATION and not scored:
        del made.graph.output[1:]  # decision values, which are no probabilities
    for value in (*made.graph.input, *made.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "rows"
    return made


def _as_fitted(model: SourceModel, features: Batch) -> Any:  # noqa: ANN401 - a data frame or an array
    """The features as the model was trained on: a data frame with its columns, or the tensor."""
    arrays = {spec.name: _typed(features[spec.name], spec) for spec in model.inputs}
    if not model.columns:
        return arrays[model.inputs[0].name]
    import pandas as pd

    return pd.DataFrame({name: array.reshape(len(array)) for name, array in arrays.items()})


def _typed(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    return array.astype(object if spec.dtype == "string" else spec.dtype)


def _labels(found: np.ndarray) -> np.ndarray:
    """As skl2onnx writes them: whole numbers as int64, everything else as text."""
    return found.astype(np.int64) if found.dtype.kind in "biuf" else found.astype(str)
