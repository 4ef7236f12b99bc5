"""LightGBM's models, of its own API or of the one like scikit-learn's."""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fdpipe import extras
from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel
from fdpipe.converter._boosted import (
    EXPORTER,
    Boosted,
    Forest,
    Link,
    categorical,
    check_signature,
    rows_of,
    write,
)
from fdpipe.errors import ConversionError
from fdpipe.interfaces import Export
from fdpipe.libraries import lightgbm as library
from fdpipe.libraries.answers import FAILURES, classified, line, valued
from fdpipe.mlmodel import flavour_file

LINKS = {
    "regression": Link.IDENTITY, "regression_l1": Link.IDENTITY, "huber": Link.IDENTITY, "fair": Link.IDENTITY,
    "quantile": Link.IDENTITY, "mape": Link.IDENTITY, "lambdarank": Link.IDENTITY, "rank_xendcg": Link.IDENTITY,
    "poisson": Link.EXPONENTIAL, "gamma": Link.EXPONENTIAL, "tweedie": Link.EXPONENTIAL, "cross_entropy": Link.SIGMOID,
    "cross_entropy_lambda": Link.SOFTPLUS, "binary": Link.SIGMOID, "multiclass": Link.SOFTMAX, "multiclassova": Link.SIGMOID,
}  # fmt: skip
"""What each objective makes of the sum of the leaves; one of the user's own answers with the sum."""


@dataclass(frozen=True, kw_only=True)
class LightGBM:
    """No settings. LightGBM computes in float64; a float32 export compares float32 rows exactly. A `Booster` with an
    objective for classes answers as `LGBMClassifier` does."""

    kind: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ("lightgbm", "onnx", "onnxruntime", "skops")
    exporter: ClassVar[tuple[str, ...]] = (*EXPORTER, "scikit-learn>=1,<1.10", "skops>=0.12,<0.15", "cloudpickle>=2,<4")
    extra: ClassVar[str] = "lightgbm"

    def accepts(self, model: SourceModel) -> bool:
        """MLflow's lightgbm flavour."""
        return model.flavour == "lightgbm"

    def risk(self, model: SourceModel) -> str | None:
        """A pickle, which models like scikit-learn's are in; a booster's text holds no code, nor does skops."""
        form = library.form_of(model)
        return None if form in library.SAFE else f"a {form} file"

    def load(self, model: SourceModel) -> Any:  # noqa: ANN401 - a Booster or an LGBMModel
        """The booster or the estimator."""
        path, form = flavour_file(model.path, "data"), library.form_of(model)
        if form in library.SAFE:
            return library.load(path, form)
        version = extras.require("lightgbm", extra=self.extra).__version__
        try:
            found = _load_pickle(path)
        except library.DAMAGES as error:
            raise ConversionError(f"lightgbm {version} cannot load {path.name}: {line(error)}") from error
        return library.checked(found, path)

    def export(self, model: SourceModel, original: Any, folder: Path, precision: Precision) -> Export:  # noqa: ANN401
        """Outputs `label` and `probabilities`, or `value` of shape (rows, targets)."""
        return write(_boosted(model, original), model, folder, precision)

    def predict(self, model: SourceModel, original: Any, features: Batch) -> dict[str, np.ndarray]:  # noqa: ANN401
        """LightGBM's own answers."""
        import lightgbm

        check_signature(model)
        given = rows_of(model, features)
        try:
            if isinstance(original, lightgbm.Booster):
                found = original.predict(given)
                objective = library.objective_of(original.dump_model(num_iteration=1))[0]
                classes = np.arange(max(2, found.shape[-1] if found.ndim > 1 else 2))
                return classified(classes, found) if objective in library.CLASSIFYING else valued(found)
            if isinstance(original, lightgbm.LGBMClassifier):
                return classified(original.classes_, original.predict_proba(given), original.predict(given))
            return valued(original.predict(given))
        except (lightgbm.basic.LightGBMError, *FAILURES) as error:
            raise ConversionError(f"the original cannot answer: {line(error)}") from error


def _load_pickle(path: Path) -> Any:  # noqa: ANN401 - an LGBMModel
    with path.open("rb") as stream:
        return pickle.load(stream)


def _boosted(model: SourceModel, original: Any) -> Boosted:  # noqa: ANN401 - a Booster or an LGBMModel
    """The model from its own dump, up to the best iteration if there is one, as its `predict` does."""
    import lightgbm

    is_booster = isinstance(original, lightgbm.Booster)
    dump = (original if is_booster else original.booster_).dump_model()
    if dump.get("pandas_categorical"):
        raise categorical(model, f"{len(dump['pandas_categorical'])} of its columns are pandas' categories")
    objective, words = library.objective_of(dump)
    link = LINKS.get(objective, Link.IDENTITY)
    is_classifier = objective in library.CLASSIFYING if is_booster else isinstance(original, lightgbm.LGBMClassifier)
    if is_classifier and objective not in library.CLASSIFYING:
        raise ConversionError(f"{model.ref.name} is a classifier with an objective of its own, which gives no probabilities")
    if "sqrt" in words:
        link = Link.SIGNED_SQUARE
    targets = int(dump["num_tree_per_iteration"])
    classes = (np.arange(max(2, targets)) if is_booster else original.classes_) if is_classifier else None
    return Boosted(sums=_forest(model, dump, _scale(dump, words)), link=link, classes=classes)


def _scale(dump: Mapping[str, Any], words: Sequence[str]) -> float:
    """What each leaf is multiplied with: a sigmoid's steepness, and in a random forest the share of one iteration."""
    steepness = float(next((word.removeprefix("sigmoid:") for word in words if word.startswith("sigmoid:")), 1))
    iterations = len(dump["tree_info"]) / int(dump["num_tree_per_iteration"])
    return steepness / iterations if dump.get("average_output") else steepness


def _forest(model: SourceModel, dump: Mapping[str, Any], scale: float) -> Forest:
    targets = int(dump["num_tree_per_iteration"])
    forest = Forest(features=int(dump["max_feature_idx"]) + 1, base=[0.0] * targets)
    zeros: set[int] = set()
    for number, tree in enumerate(dump["tree_info"]):
        _grow(model, forest, number, tree["tree_structure"], number % targets, scale, zeros)
    forest.zeros_missing = frozenset(zeros)
    return forest


def _grow(
    model: SourceModel, forest: Forest, number: int, root: Mapping[str, Any], target: int, scale: float, zeros: set[int]
) -> None:
    """From the root down, nodes numbered as they come."""
    waiting, numbered = [(0, root)], 1
    while waiting:
        node, found = waiting.pop()
        if "leaf_value" in found:
            if found.get("leaf_coeff"):
                raise ConversionError(
                    f"{model.ref.name} has linear trees, which are not exported: train with linear_tree=False"
                )
            forest.leaf(number, node, {target: found["leaf_value"] * scale})
            continue
        if found["decision_type"] != "<=":
            raise categorical(model, f"feature {found['split_feature']} is split by category")
        threshold, missing = float(found["threshold"]), found["missing_type"]
        if missing == "Zero":
            zeros.add(found["split_feature"])
        # where none was missing in training, a missing value counts as 0
        missing_first = threshold >= 0 if missing == "None" else bool(found["default_left"])
        children = (numbered, numbered + 1)
        numbered += 2
        forest.branch(number, node, found["split_feature"], threshold, children, missing_first=missing_first)
        waiting += [(children[1], found["right_child"]), (children[0], found["left_child"])]
