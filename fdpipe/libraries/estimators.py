"""What an estimator of scikit-learn answers, by what kind of estimator it is; what it takes, and what it is made of."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fdpipe.artifacts import Task
from fdpipe.errors import ConversionError

NESTED = ("steps", "transformer_list", "transformers_")
"""Attributes that are lists of (name, estimator, …)."""

ENSEMBLES = ("estimator", "estimator_", "best_estimator_", "final_estimator_", "estimators_", "calibrated_classifiers_")
"""Attributes that are an estimator or several."""


@dataclass(frozen=True, kw_only=True)
class Answering:
    """The kind of the answers, and the estimator's method for each, by the answer's name. `exported` names all that
    skl2onnx gives for such an estimator, in its order; what is no answer is dropped from the graph."""

    task: Task
    methods: Mapping[str, str]
    exported: tuple[str, ...]


def answering_of(estimator: Any) -> Answering:  # noqa: ANN401 - an estimator has no type of its own
    """How it answers new rows; `ConversionError` for one that cannot, or with several labels a row."""
    from sklearn.base import is_classifier, is_outlier_detector, is_regressor

    scored = {"probabilities": "predict_proba"} if hasattr(estimator, "predict_proba") else {}
    if is_regressor(estimator):
        return Answering(task=Task.REGRESSION, methods={"value": "predict"}, exported=("value",))
    if is_classifier(estimator):
        _refuse_several_labels(estimator)
        return Answering(task=Task.CLASSIFICATION, methods={"label": "predict"} | scored, exported=("label", "probabilities"))
    if hasattr(estimator, "predict") and is_outlier_detector(estimator):
        methods = {"label": "predict", "scores": "decision_function"}
        return Answering(task=Task.TENSORS, methods=methods, exported=("label", "scores"))
    if hasattr(estimator, "predict"):  # clusters and mixtures
        second = "probabilities" if scored else "scores"
        return Answering(task=Task.CLASSIFICATION, methods={"label": "predict"} | scored, exported=("label", second))
    if hasattr(estimator, "transform"):
        return Answering(task=Task.TENSORS, methods={"transformed": "transform"}, exported=("transformed",))
    if hasattr(estimator, "kneighbors"):
        methods = {"index": "kneighbors", "distance": "kneighbors"}
        return Answering(task=Task.TENSORS, methods=methods, exported=("index", "distance"))
    name = type(estimator).__name__
    raise ConversionError(f"{name} answers no new rows: it has neither predict nor transform")


def ask(estimator: Any, answering: Answering, given: Any) -> dict[str, np.ndarray]:  # noqa: ANN401 - libraries' types
    """The answers: labels and indices as int64 or strings, values and scores of shape (rows, …), every float as float32."""
    if "index" in answering.methods:
        distance, index = estimator.kneighbors(given)
        return {"index": index.astype(np.int64), "distance": _narrow(distance)}
    found = {name: getattr(estimator, method)(given) for name, method in answering.methods.items()}
    return {name: _labels(answer) if name == "label" else _tensor(name, answer) for name, answer in found.items()}


def _labels(found: Any) -> np.ndarray:  # noqa: ANN401 - whatever an estimator answers
    """As skl2onnx writes them: whole numbers as int64, everything else as text."""
    array = np.asarray(found)
    if array.ndim != 1:
        raise ConversionError(f"the original's labels are of the shape {array.shape}: it must be one label a row")
    return array.astype(np.int64) if array.dtype.kind in "biuf" else array.astype(str)


def _tensor(name: str, found: Any) -> np.ndarray:  # noqa: ANN401 - an array, a sparse matrix or a data frame
    """Text as text, every number as float32."""
    array = np.asarray(found.toarray() if hasattr(found, "toarray") else found)
    if array.dtype.kind == "O" and not all(isinstance(item, str) for item in array.ravel()):
        array = array.astype(np.float64)
    if name in ("value", "scores"):
        array = array.reshape(len(array), -1)
    return _narrow(array) if array.dtype.kind in "biuf" else array.astype(str)


def _narrow(array: np.ndarray) -> np.ndarray:
    """As float32, unless a number is too large for that: then as float64, so that an overflow in the export shows."""
    with np.errstate(over="ignore"):
        small: np.ndarray = array.astype(np.float32)
    return small if (np.isfinite(small) == np.isfinite(array)).all() else array.astype(np.float64)


def first_of(estimator: Any) -> Any:  # noqa: ANN401 - an estimator has no type of its own
    """The estimator that sees the rows: the first step of a pipeline, also of one that was searched for."""
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif steps := [one for _, one in getattr(estimator, "steps", ()) if one not in ("passthrough", None)]:
            estimator = steps[0]
        else:
            return estimator


def inside(estimator: Any) -> Iterator[Any]:  # noqa: ANN401 - an estimator has no type of its own
    """The estimator, and every one that it is made of, each once."""
    seen: dict[int, Any] = {}
    _collect(estimator, seen)
    yield from seen.values()


def _collect(estimator: Any, seen: dict[int, Any]) -> None:  # noqa: ANN401 - an estimator has no type of its own
    if id(estimator) in seen:
        return
    seen[id(estimator)] = estimator
    parts = [item[1] for name in NESTED for item in getattr(estimator, name, None) or ()]
    for name in ENSEMBLES:
        held = getattr(estimator, name, None)
        parts += held.ravel().tolist() if isinstance(held, np.ndarray) else held if isinstance(held, list) else [held]
    for part in parts:
        if part is not None and not isinstance(part, str | type):
            _collect(part, seen)


def takes_columns(estimator: Any) -> bool:  # noqa: ANN401 - an estimator has no type of its own
    """Whether its columns may be of several types."""
    from sklearn.compose import ColumnTransformer

    return isinstance(first_of(estimator), ColumnTransformer)


def takes_values(estimator: Any) -> bool:  # noqa: ANN401 - an estimator has no type of its own
    """Whether it takes one value a row, of shape (rows,): texts, or labels."""
    from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
    from sklearn.preprocessing import LabelBinarizer, LabelEncoder

    return isinstance(first_of(estimator), CountVectorizer | HashingVectorizer | LabelBinarizer | LabelEncoder)


def _refuse_several_labels(estimator: Any) -> None:  # noqa: ANN401 - an estimator has no type of its own
    if not isinstance(getattr(estimator, "classes_", None), np.ndarray):
        name = type(estimator).__name__
        raise ConversionError(f"{name} is no classifier of one label a row: split it into one model for each label")
