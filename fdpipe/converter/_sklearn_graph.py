"""An estimator of scikit-learn as an ONNX graph: skl2onnx, and what it needs to be right in double precision."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fdpipe import graphs
from fdpipe.artifacts import Precision, SourceModel
from fdpipe.converter._sklearn_own import own_converters
from fdpipe.converter._sklearn_preparation import prepared
from fdpipe.converter._sklearn_trees import send_missing, take_doubles, with_finite_thresholds
from fdpipe.errors import ConversionError
from fdpipe.libraries.estimators import Answering, inside, takes_columns

if TYPE_CHECKING:
    from onnx import ModelProto

STACKED = "input"
"""The graph's input where all columns stand side by side."""

WORDS = r"[\p{L}\p{N}_][\p{L}\p{N}_]+"
"""scikit-learn's own pattern of a word, as ONNX Runtime's regular expressions write it: its `\\w` knows ASCII only."""

OWN_WORDS = r"(?u)\b\w\w+\b"
"""The pattern as scikit-learn writes it."""

ONE_LABEL_A_ROW = ("LinearClassifier", "SVMClassifier", "TreeEnsembleClassifier")
"""Operators whose label has one axis for certain."""


def graph_of(original: Any, model: SourceModel, answering: Answering, precision: Precision) -> "ModelProto":  # noqa: ANN401
    """The ONNX model with our names on its outputs and `rows` on its first axes."""
    estimator, name = prepared(original), type(original).__name__
    if precision is Precision.FLOAT64:
        estimator = with_finite_thresholds(estimator)
    failures: tuple[type[Exception], ...] = (*graphs.library_errors(), NameError, ImportError)
    try:
        made = _converted(estimator, _initial_types(original, model, precision), answering)
    except failures as error:
        raise ConversionError(f"skl2onnx cannot export this {name}: {_said(error)}") from error
    for value in [value for value in made.graph.output if value.name not in answering.methods]:
        made.graph.output.remove(value)  # as decision values, which are no probabilities
    _shaped(made, "label", [-1])
    _shaped(made, "scores", [-1, 1])
    _as_floats(made, "transformed", precision)
    for value in (*made.graph.input, *made.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "rows"
    made.opset_import.sort(key=lambda one: str(one.domain))  # a set's order, which differs from process to process
    send_missing(made, estimator)
    if precision is Precision.FLOAT64:
        take_doubles(made)
    return made


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    if unknown := re.match(r"Unable to find a (?:shape calculator|converter) for \w+ '<class '[\w.]*?(\w+)'>'", text):
        return f"it has no converter for {unknown[1]}"
    return text[:400]


def _converted(estimator: Any, initial: list[tuple[str, object]], answering: Answering) -> "ModelProto":  # noqa: ANN401
    from skl2onnx import convert_sklearn
    from sklearn.base import is_classifier

    options: dict[int, dict[str, Any]] = {id(one): _words(one) for one in inside(estimator) if hasattr(one, "token_pattern")}
    zipmaps: list[dict[int, dict[str, Any]]] = [{id(estimator): {"zipmap": False}}, {}] if is_classifier(estimator) else [{}]
    for number, zipmap in enumerate(zipmaps, 1):
        try:
            return convert_sklearn(
                estimator,
                name="model",  # or else a random one, and no two exports would be the same
                initial_types=initial,
                final_types=[(name, None) for name in answering.exported],
                options=options | zipmap,
                target_opset=_opsets(estimator),
                custom_conversion_functions=own_converters(),
            )
        except (NameError, RuntimeError) as error:
            if number == len(zipmaps) or "zipmap" not in str(error):  # not every classifier has the option
                raise
    raise AssertionError("unreachable")


def _opsets(estimator: Any) -> dict[str, int] | None:  # noqa: ANN401 - an estimator has no type of its own
    """The default, but for isolation forests: by default, skl2onnx gives them operators that are too new for itself."""
    from skl2onnx import get_latest_tested_opset_version

    old = any(type(one).__name__ == "IsolationForest" for one in inside(estimator))
    return {"": get_latest_tested_opset_version(), "ai.onnx.ml": 3} if old else None


def _words(vectorizer: Any) -> dict[str, Any]:  # noqa: ANN401 - an estimator has no type of its own
    """Options for text: letters of every language, in the one locale of UTF-8 that every machine has."""
    words = {"tokenexp": WORDS} if vectorizer.analyzer == "word" and vectorizer.token_pattern == OWN_WORDS else {}
    return {"locale": "C.UTF-8", **words}


def _shaped(model: "ModelProto", name: str, shape: list[int]) -> None:
    """Give an output this shape, if there is such an output: skl2onnx gives some of them one axis, some two."""
    from onnx import helper, numpy_helper

    found = next((value for value in model.graph.output if value.name == name), None)
    if found is None or any(name in node.output and node.op_type in ONE_LABEL_A_ROW for node in model.graph.node):
        return
    target = f"fdpipe_{name}_shape"
    model.graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), target))
    inner = _renamed(model, name)
    model.graph.node.append(helper.make_node("Reshape", [inner, target], [name], name=f"{inner}_reshaped"))
    kind = found.type.tensor_type.elem_type
    found.CopyFrom(helper.make_tensor_value_info(name, kind, [None if size == -1 else size for size in shape]))


def _as_floats(model: "ModelProto", name: str, precision: Precision) -> None:
    """Give an output that is whole numbers the type of all others, if there is such an output."""
    from onnx import TensorProto, helper

    for value in model.graph.output:
        if value.name == name and value.type.tensor_type.elem_type in (TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL):
            kind = TensorProto.DOUBLE if precision is Precision.FLOAT64 else TensorProto.FLOAT
            inner = _renamed(model, name)
            model.graph.node.append(helper.make_node("Cast", [inner], [name], name=f"{inner}_cast", to=kind))
            value.type.tensor_type.elem_type = kind


def _renamed(model: "ModelProto", name: str) -> str:
    """The name under which the nodes give what was an output."""
    inner = f"fdpipe_{name}"
    for node in model.graph.node:
        node.output[:] = [inner if one == name else one for one in node.output]
        node.input[:] = [inner if one == name else one for one in node.input]
    return inner


def _initial_types(estimator: Any, model: SourceModel, precision: Precision) -> list[tuple[str, object]]:  # noqa: ANN401
    """skl2onnx's declaration of the inputs: one a column for a ColumnTransformer, or else a single tensor."""
    specs = model.inputs
    if not specs:
        raise ConversionError(f"{model.ref.name} has no signature: log it with signature=infer_signature(features, answers)")
    if not model.columns:
        if len(specs) > 1:
            raise ConversionError(f"{model.ref.name} has {len(specs)} tensors as inputs: scikit-learn takes one")
        return [(specs[0].name, _kind(specs[0].dtype, specs[0].shape[1:], precision))]
    if takes_columns(estimator):
        return [(spec.name, _kind(spec.dtype, (1,), precision)) for spec in specs]
    texts = {spec.dtype == "string" for spec in specs}
    if len(texts) > 1:
        raise ConversionError(f"{model.ref.name} mixes strings and numbers: its pipeline must begin with a ColumnTransformer")
    return [(STACKED, _kind("string" if True in texts else "float32", (len(specs),), precision))]


def _kind(dtype: str, axes: Sequence[int | str], precision: Precision) -> object:
    """skl2onnx's type of a tensor with these axes after the rows."""
    from skl2onnx.common import data_types

    names = {"string": "String", "bool": "Boolean"}
    whole = {"int64": "Int64", "int32": "Int32"}  # which skl2onnx would make float32 wherever it calculates
    name = names.get(dtype, "Double") if precision is Precision.FLOAT64 else (names | whole).get(dtype, "Float")
    return getattr(data_types, f"{name}TensorType")([None, *(axis if isinstance(axis, int) else None for axis in axes)])
