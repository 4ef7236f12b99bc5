"""An estimator as skl2onnx takes it: what it refuses without need is put otherwise, what it gets wrong is refused."""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from fdpipe.errors import ConversionError
from fdpipe.libraries.estimators import inside

SAME_ANSWERS: Mapping[str, Mapping[str, Any]] = {
    "KBinsDiscretizer": {"encode": {"onehot": "onehot-dense"}},
    "RandomTreesEmbedding": {"sparse_output": {True: False}},
    "VotingClassifier": {"flatten_transform": {True: False}},
    "NearestNeighbors": {"radius": None},
}
"""Settings of fitted estimators that have no influence on the answers' values, and what skl2onnx takes in their place."""

EMPTY = ("passthrough", None)
"""What stands in a pipeline for no step at all."""


def prepared(estimator: Any) -> Any:  # noqa: ANN401 - an estimator has no type of its own
    """One that answers the same, a copy where something had to change; `ConversionError` for what skl2onnx would export
    without a word, though it answers otherwise on some rows."""
    found = _unwrapped(estimator)
    for one in inside(found):
        _refuse_unequal(one)
    if not any(_changes(one) for one in inside(found)):
        return found
    found = copy.deepcopy(found)
    for one in list(inside(found)):
        for name, value in _changes(one).items():
            setattr(one, name, value)
    return found


def _unwrapped(estimator: Any) -> Any:  # noqa: ANN401 - an estimator has no type of its own
    """Without what only mattered while it was trained: a search, a freezer, a selection that ends in an estimator; and
    without a pipeline's empty steps."""
    from sklearn.pipeline import Pipeline

    name = type(estimator).__name__
    if isinstance(estimator, Pipeline):
        steps = [(word, one) for word, one in estimator.steps if one not in EMPTY]
        if not steps:
            return estimator
        word, last = steps[-1]
        inner = _unwrapped(last)
        changed = inner is not last or len(steps) < len(estimator.steps)
        return Pipeline([*steps[:-1], (word, inner)]) if changed else estimator
    if hasattr(estimator, "best_estimator_"):
        return _unwrapped(estimator.best_estimator_)
    if name == "FrozenEstimator":
        return _unwrapped(estimator.estimator)
    if name == "SelfTrainingClassifier":
        return _unwrapped(estimator.estimator_)
    if name == "TransformedTargetRegressor" and _is_identity(estimator.transformer_):
        return _unwrapped(estimator.regressor_)
    if name in ("RFE", "RFECV"):
        return Pipeline([("selection", estimator), ("estimator", estimator.estimator_)])
    return estimator


def _is_identity(transformer: Any) -> bool:  # noqa: ANN401 - an estimator has no type of its own
    return type(transformer).__name__ == "FunctionTransformer" and transformer.func is transformer.inverse_func is None


def _changes(estimator: Any) -> dict[str, Any]:  # noqa: ANN401 - an estimator has no type of its own
    """The settings to set otherwise; nothing for one that need not change."""
    known = SAME_ANSWERS.get(type(estimator).__name__, {})
    found = {}
    for name, wanted in known.items():
        value = getattr(estimator, name, None)
        other = wanted.get(value, value) if isinstance(wanted, Mapping) else wanted
        if other != value:
            found[name] = other
    return found


def _refuse_unequal(estimator: Any) -> None:  # noqa: ANN401 - an estimator has no type of its own
    name = type(estimator).__name__
    if name in ("TunedThresholdClassifierCV", "FixedThresholdClassifier"):
        raise ConversionError(f"skl2onnx cannot export {name}: it would leave out the threshold; register its inner classifier")
    if _has_missing_strings(estimator):
        raise ConversionError(f"{name} was fitted with missing strings as None or NaN: train with missing strings as ''")
    if name == "DictVectorizer":
        raise ConversionError("DictVectorizer takes dictionaries, a service takes columns: begin with a ColumnTransformer")
    if np.any(getattr(estimator, "is_categorical_", None)):
        raise ConversionError(f"skl2onnx cannot export {name} with categorical features: encode them in a step before it")
    if getattr(estimator, "add_indicator", False):
        raise ConversionError(f"skl2onnx cannot export {name} with add_indicator=True: it would leave out the indicators")
    if getattr(estimator, "stop_words", None) and getattr(estimator, "ngram_range", (1, 1))[1] > 1:
        raise ConversionError(f"skl2onnx cannot export {name} with stop words and ngram_range: use one of the two")


def _has_missing_strings(estimator: Any) -> bool:  # noqa: ANN401 - an estimator has no type of its own
    """Whether among the categories of a column of strings is one that is no string."""
    for column in getattr(estimator, "categories_", None) or ():
        texts = [isinstance(item, str) for item in np.asarray(column, dtype=object)]
        if any(texts) and not all(texts):
            return True
    return False
