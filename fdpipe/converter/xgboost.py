"""XGBoost's models: trees with or without dropout, and linear ones, of its own API or of the one like scikit-learn's."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel
from fdpipe.converter._boosted import (
    EXPORTER,
    Boosted,
    Forest,
    Linear,
    Link,
    categorical,
    check_signature,
    rows_of,
    write,
)
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.interfaces import Export
from fdpipe.libraries import xgboost as library
from fdpipe.libraries.answers import FAILURES, classified, line, valued
from fdpipe.mlmodel import flavour_file

LINKS = {
    Link.SIGMOID: ("binary:logistic", "reg:logistic"),
    Link.SOFTMAX: ("multi:softprob", "multi:softmax"),
    Link.EXPONENTIAL: ("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft"),
    Link.STEP: ("binary:hinge",),
    Link.IDENTITY: (
        "reg:squarederror", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror", "reg:quantileerror",
        "reg:linear", "binary:logitraw", "rank:ndcg", "rank:map", "rank:pairwise",
    ),
}  # fmt: skip
"""What each objective makes of the sum of the leaves."""


@dataclass(frozen=True, kw_only=True)
class XGBoost:
    """No settings. A `Booster` with an objective for classes answers as `XGBClassifier` does; it uses all of its trees, the
    others those up to the best iteration."""

    kind: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ("xgboost", "xgboost-cpu", "onnx", "onnxruntime")
    exporter: ClassVar[tuple[str, ...]] = (*EXPORTER, "scikit-learn>=1,<1.10")
    extra: ClassVar[str] = "xgboost"

    def accepts(self, model: SourceModel) -> bool:
        """MLflow's xgboost flavour."""
        return model.flavour == "xgboost"

    def risk(self, model: SourceModel) -> str | None:
        """None: its own formats hold no code."""
        return None

    def load(self, model: SourceModel) -> Any:  # noqa: ANN401 - a Booster or an XGBModel
        """A new model of the class that MLmodel names, with the file's trees."""
        return library.load(flavour_file(model.path, "data"), library.kind_of(model))

    def export(self, model: SourceModel, original: Any, folder: Path, precision: Precision) -> Export:  # noqa: ANN401
        """Outputs `label` and `probabilities`, or `value` of shape (rows, targets)."""
        if precision is not Precision.FLOAT32:
            raise NotApplicable("xgboost itself computes in float32")
        return write(_boosted(model, original, folder), model, folder, precision)

    def predict(self, model: SourceModel, original: Any, features: Batch) -> dict[str, np.ndarray]:  # noqa: ANN401
        """XGBoost's own answers."""
        import xgboost

        check_signature(model)
        given = rows_of(model, features)
        try:
            if isinstance(original, xgboost.Booster):
                asked = xgboost.DMatrix(given)
                found = library.objective_of(original)
                classes = library.classes_of(original) if found in library.CLASSIFYING else None
                return library.answers(classes, found, lambda margin: original.predict(asked, output_margin=margin))
            if isinstance(original, xgboost.XGBClassifier):
                return classified(original.classes_, original.predict_proba(given), original.predict(given))
            return valued(original.predict(given))
        except (xgboost.core.XGBoostError, *FAILURES) as error:
            raise ConversionError(f"the original cannot answer: {line(error)}") from error


def _boosted(model: SourceModel, original: Any, folder: Path) -> Boosted:  # noqa: ANN401 - a Booster or an XGBModel
    """The model from its own file in JSON."""
    import xgboost

    is_booster = isinstance(original, xgboost.Booster)
    booster = original if is_booster else original.get_booster()
    learner = _dumped(booster, folder / "dumped.json")
    objective = learner["objective"]["name"]
    link = next((link for link, names in LINKS.items() if objective in names), None)
    if link is None:
        known = ", ".join(name for names in LINKS.values() for name in names)
        raise ConversionError(f"{model.ref.name} has the objective {objective!r}, which is not exported: there are {known}")
    if "c" in (learner.get("feature_types") or []):
        raise categorical(model, "its feature_types have a 'c'")
    is_classifier = objective in library.CLASSIFYING if is_booster else isinstance(original, xgboost.XGBClassifier)
    if is_classifier and objective not in library.CLASSIFYING:
        raise ConversionError(f"{model.ref.name} is a classifier with the objective {objective!r}, which has no probabilities")
    parameters = learner["learner_model_param"]
    targets = max(1, int(parameters["num_class"]), int(parameters.get("num_target", 1)))
    if is_classifier and int(parameters.get("num_target", 1)) > 1:
        raise ConversionError(f"{model.ref.name} gives several labels a row: split it into one model for each label")
    base = _base(parameters["base_score"], objective, link, targets)
    iterations = None if is_booster else _iterations(original)
    gradient = learner["gradient_booster"]
    if gradient["name"] == "gblinear":
        sums: Forest | Linear = _linear(gradient["model"]["weights"], int(parameters["num_feature"]), base)
    else:
        sums = _forest(model, gradient, int(parameters["num_feature"]), base, iterations)
    classes = np.arange(max(2, targets)) if is_classifier else None
    return Boosted(sums=sums, link=link, classes=classes)


def _dumped(booster: Any, path: Path) -> Mapping[str, Any]:  # noqa: ANN401 - a Booster
    booster.save_model(str(path))
    found: Mapping[str, Any] = json.loads(path.read_bytes())["learner"]
    path.unlink()
    return found


def _base(score: str, objective: str, link: Link, targets: int) -> list[float]:
    """The sum before any tree: the file has it as an answer, one number (before 3.1) or one for each target."""
    scores = np.atleast_1d(np.array(json.loads(score), np.float64))
    with np.errstate(divide="ignore"):
        if link is Link.SIGMOID:
            scores = np.log(scores / (1 - scores))
        elif link is Link.EXPONENTIAL:
            scores = np.log(scores)
    found: list[float] = np.broadcast_to(scores, targets).tolist()
    return found


def _iterations(original: Any) -> int | None:  # noqa: ANN401 - an XGBModel
    """How many its `predict` uses; None for all."""
    best = original.get_booster().attr("best_iteration")
    return None if best is None else int(best) + 1


def _linear(weights: Sequence[float], features: int, base: list[float]) -> Linear:
    """Row by row for each feature, the last for what is added. Linear models use the first target's base for all."""
    table = np.array(weights, np.float64).reshape(features + 1, len(base))
    return Linear(weights=table[:-1], base=(base[0] + table[-1]).tolist())


def _forest(
    model: SourceModel, gradient: Mapping[str, Any], features: int, base: list[float], iterations: int | None
) -> Forest:
    dropout = gradient["name"] == "dart"
    content = gradient["gbtree"]["model"] if dropout else gradient["model"]
    trees, targets = content["trees"], content["tree_info"]
    weights = gradient["weight_drop"] if dropout else [1.0] * len(trees)
    used = len(trees)
    if iterations is not None:
        each = int(content["gbtree_model_param"].get("num_parallel_tree", 1) or 1) * len(base)
        used = content["iteration_indptr"][iterations] if "iteration_indptr" in content else iterations * each
    forest = Forest(features=features, base=base, mode="BRANCH_LT")
    for number, tree in enumerate(trees[:used]):
        if int(tree["tree_param"].get("size_leaf_vector", 0)) > 1:
            raise ConversionError(
                f"{model.ref.name} has trees of several targets: train with multi_strategy=one_output_per_tree"
            )
        if any(tree.get("split_type", ())):
            raise categorical(model, f"tree {number} splits by category")
        _grow(forest, number, tree, targets[number], weights[number])
    return forest


def _grow(forest: Forest, number: int, tree: Mapping[str, Any], target: int, weight: float) -> None:
    """From the root down: a pruned node is still in the file, where nothing leads to it."""
    waiting = [0]
    while waiting:
        node = waiting.pop()
        children = (tree["left_children"][node], tree["right_children"][node])
        value = float(np.float32(tree["split_conditions"][node]))  # written with the fewest digits that name a float32
        if children[0] == -1:
            forest.leaf(number, node, {target: value * weight})
            continue
        missing_first = bool(tree["default_left"][node])
        forest.branch(number, node, tree["split_indices"][node], value, children, missing_first=missing_first)
        waiting += reversed(children)
