"""CatBoost's models of numeric features, with trees of any shape."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

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
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.interfaces import Export
from fdpipe.libraries import catboost as library
from fdpipe.libraries.answers import FAILURES, classified, line, valued
from fdpipe.mlmodel import flavour_file

SEVERAL_LABELS = ("MultiLogloss", "MultiCrossEntropy")


@dataclass(frozen=True, kw_only=True)
class CatBoost:
    """No settings. A `CatBoost` that was trained on classes answers as `CatBoostClassifier` does."""

    kind: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ("catboost", "onnx", "onnxruntime")
    exporter: ClassVar[tuple[str, ...]] = EXPORTER
    extra: ClassVar[str] = "catboost"

    def accepts(self, model: SourceModel) -> bool:
        """MLflow's catboost flavour."""
        return model.flavour == "catboost"

    def risk(self, model: SourceModel) -> str | None:
        """None: its own formats hold no code."""
        return None

    def load(self, model: SourceModel) -> Any:  # noqa: ANN401 - a CatBoost
        """A new model of the class that MLmodel names, with the file's trees."""
        return library.load(flavour_file(model.path, "data"), *library.kind_of(model))

    def export(self, model: SourceModel, original: Any, folder: Path, precision: Precision) -> Export:  # noqa: ANN401
        """Outputs `label` and `probabilities`, or `value` of shape (rows, targets)."""
        if precision is not Precision.FLOAT32:
            raise NotApplicable("catboost itself sees the rows as float32")
        return write(_boosted(model, original, folder), model, folder, precision)

    def predict(self, model: SourceModel, original: Any, features: Batch) -> dict[str, np.ndarray]:  # noqa: ANN401
        """CatBoost's own answers."""
        import catboost

        check_signature(model)
        given = rows_of(model, features)
        try:
            if len(original.classes_):
                scores = original.predict(given, prediction_type="Probability")
                return classified(original.classes_, scores, np.asarray(original.predict(given, prediction_type="Class")))
            return valued(original.predict(given))
        except (catboost.CatBoostError, *FAILURES) as error:
            raise ConversionError(f"the original cannot answer: {line(error)}") from error


def _boosted(model: SourceModel, original: Any, folder: Path) -> Boosted:  # noqa: ANN401 - a CatBoost
    """The model from its own file in JSON."""
    import catboost

    others = original.get_cat_feature_indices() + original.get_text_feature_indices() + original.get_embedding_feature_indices()
    if others:
        raise categorical(model, f"feature {others[0]} is categorical, text or an embedding")
    path = folder / "dumped.json"
    try:
        original.save_model(str(path), format="json")
        dump = json.loads(path.read_bytes())
    except (catboost.CatBoostError, *FAILURES) as error:
        raise ConversionError(f"catboost cannot write {model.ref.name} as JSON: {line(error)}") from error
    finally:
        path.unlink(missing_ok=True)
    loss = str(dump["model_info"].get("params", {}).get("loss_function", {}).get("type", ""))
    classes = original.classes_ if len(original.classes_) else None
    link = _link(model, original, loss) if classes is None else _link_of_classes(model, original, loss)
    return Boosted(sums=_forest(dump), link=link, classes=classes)


def _link(model: SourceModel, original: Any, loss: str) -> Link:  # noqa: ANN401 - a CatBoost
    """`CatBoostRegressor` gives the exponential of some losses' sums; `CatBoost` gives the sums."""
    if loss == "RMSEWithUncertainty":
        raise ConversionError(f"{model.ref.name} has the loss {loss}, whose answers are not exported: train with RMSE")
    exponential = type(original).__name__ == "CatBoostRegressor" and loss in ("Poisson", "Tweedie")
    return Link.EXPONENTIAL if exponential else Link.IDENTITY


def _link_of_classes(model: SourceModel, original: Any, loss: str) -> Link:  # noqa: ANN401 - a CatBoost
    if loss in SEVERAL_LABELS:
        raise ConversionError(f"{model.ref.name} gives several labels a row: split it into one model for each label")
    boundary = original.get_probability_threshold() if type(original).__name__ == "CatBoostClassifier" else 0.5
    if len(original.classes_) == 2 and boundary != 0.5:
        raise ConversionError(f"{model.ref.name} has the probability threshold {boundary}: only 0.5 is exported")
    return Link.SOFTMAX if loss == "MultiClass" else Link.SIGMOID


def _forest(dump: Mapping[str, Any]) -> Forest:
    scale, bias = dump["scale_and_bias"]
    floats = dump["features_info"]["float_features"]
    forest = Forest(features=1 + max(one["flat_feature_index"] for one in floats), base=np.atleast_1d(bias).tolist())
    splits = _Splits(forest, {one["feature_index"]: one for one in floats}, float(scale))
    for number, tree in enumerate(dump.get("oblivious_trees") or ()):
        splits.symmetric(number, tree["splits"] or (), tree["leaf_values"])
    for number, tree in enumerate(dump.get("trees") or ()):
        splits.nested(number, tree)
    return forest


@dataclass(frozen=True)
class _Splits:
    """Puts CatBoost's trees into a forest: a row goes to the second child where its feature is above the border."""

    forest: Forest
    features: Mapping[int, Mapping[str, Any]]
    scale: float

    def symmetric(self, number: int, splits: Sequence[Mapping[str, Any]], values: Sequence[float]) -> None:
        """All nodes of one depth have the same split, the root the last; so the leaves are in the order of the file."""
        depth, targets = len(splits), len(self.forest.base)
        inner = 2**depth - 1
        for node in range(inner):
            self._branch(number, node, splits[depth - (node + 1).bit_length()], (2 * node + 1, 2 * node + 2))
        for leaf in range(inner + 1):
            self._leaf(number, inner + leaf, values[leaf * targets : (leaf + 1) * targets])

    def nested(self, number: int, root: Mapping[str, Any]) -> None:
        """From the root down, nodes numbered as they come."""
        waiting, numbers = [(0, root)], count(1)
        while waiting:
            node, found = waiting.pop()
            if "split" not in found:
                self._leaf(number, node, np.atleast_1d(found["value"]).tolist())
                continue
            children = (next(numbers), next(numbers))
            self._branch(number, node, found["split"], children)
            waiting += [(children[1], found["right"]), (children[0], found["left"])]

    def _branch(self, number: int, node: int, split: Mapping[str, Any], children: tuple[int, int]) -> None:
        feature = self.features[split["float_feature_index"]]
        missing_first = feature["nan_value_treatment"] != "AsTrue"
        index = feature["flat_feature_index"]
        self.forest.branch(number, node, index, float(np.float32(split["border"])), children, missing_first=missing_first)

    def _leaf(self, number: int, node: int, values: Sequence[float]) -> None:
        self.forest.leaf(number, node, {target: value * self.scale for target, value in enumerate(values)})
