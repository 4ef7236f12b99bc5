"""LightGBM's models, of its own API or of the one like scikit-learn's."""

import pickle
import zipfile
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
    FAILURES,
    Boosted,
    Forest,
    Link,
    categorical,
    check_signature,
    classified,
    line,
    rows_of,
    valued,
    write,
)
from fdpipe.errors import ConversionError
from fdpipe.interfaces import Export
from fdpipe.mlmodel import flavour_file, flavour_settings

BOOSTER = "lightgbm.basic.Booster"

CLASSES = ("LGBMClassifier", "LGBMRegressor", "LGBMRanker")
"""Its classes like scikit-learn's, which a file may hold."""

TRUSTED = (
    BOOSTER,
    *(f"lightgbm.sklearn.{name}" for name in (*CLASSES, "LGBMModel")),
    "sklearn.preprocessing._label.LabelEncoder",
    "collections.OrderedDict",
    "collections.defaultdict",
    "numpy.dtype",
)
"""The only types that are loaded from a skops file beside those that skops itself knows to be harmless."""

DAMAGES = (*FAILURES, pickle.UnpicklingError, ImportError, EOFError, zipfile.BadZipFile)
"""What a file raises that cannot be loaded."""

LINKS = {
    "regression": Link.IDENTITY, "regression_l1": Link.IDENTITY, "huber": Link.IDENTITY, "fair": Link.IDENTITY,
    "quantile": Link.IDENTITY, "mape": Link.IDENTITY, "lambdarank": Link.IDENTITY, "rank_xendcg": Link.IDENTITY,
    "poisson": Link.EXPONENTIAL, "gamma": Link.EXPONENTIAL, "tweedie": Link.EXPONENTIAL, "cross_entropy": Link.SIGMOID,
    "cross_entropy_lambda": Link.SOFTPLUS, "binary": Link.SIGMOID, "multiclass": Link.SOFTMAX, "multiclassova": Link.SIGMOID,
}  # fmt: skip
"""What each objective makes of the sum of the leaves; one of the user's own answers with the sum."""

CLASSIFYING = ("binary", "multiclass", "multiclassova")


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
        form = _form(model)
        return None if form in ("booster", "skops") else f"a {form} file"

    def load(self, model: SourceModel) -> Any:  # noqa: ANN401 - a Booster or an LGBMModel
        """The booster or the estimator."""
        library = extras.require("lightgbm", extra=self.extra)
        path = flavour_file(model.path, "data")
        form = _form(model)
        try:
            if form == "booster":
                return library.Booster(model_file=str(path))
            found = _load_skops(path) if form == "skops" else _load_pickle(path)
        except (library.basic.LightGBMError, *DAMAGES) as error:
            raise ConversionError(f"lightgbm {library.__version__} cannot load {path.name}: {line(error)}") from error
        if not isinstance(found, library.LGBMModel | library.Booster):
            raise ConversionError(f"{path.name} holds a {type(found).__name__}, which is no model of LightGBM's")
        return found

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
                objective = _objective(original.dump_model(num_iteration=1))[0]
                classes = np.arange(max(2, found.shape[-1] if found.ndim > 1 else 2))
                return classified(classes, found) if objective in CLASSIFYING else valued(found)
            if isinstance(original, lightgbm.LGBMClassifier):
                return classified(original.classes_, original.predict_proba(given), original.predict(given))
            return valued(original.predict(given))
        except (lightgbm.basic.LightGBMError, *FAILURES) as error:
            raise ConversionError(f"the original cannot answer: {line(error)}") from error


def _form(model: SourceModel) -> str:
    """`booster`, or how an estimator was serialized. MLflow before 1.23 names no class: it knew boosters only; before 3.4
    or so it names no format either, and used cloudpickle."""
    settings = flavour_settings(model.path, "lightgbm")
    if settings.get("model_class", BOOSTER) == BOOSTER:
        return "booster"
    return str(settings.get("serialization_format") or "cloudpickle")


def _load_skops(path: Path) -> Any:  # noqa: ANN401 - an LGBMModel
    """The estimator, if its file names nothing but the types that one is made of, whatever MLmodel would trust."""
    import skops.io

    wanted = skops.io.get_untrusted_types(file=path)
    if foreign := [name for name in wanted if name not in TRUSTED]:
        raise ConversionError(f"{path.name} names {foreign[0]}, which no model of LightGBM's is made of: refused")
    return skops.io.load(path, trusted=wanted)


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
    objective, words = _objective(dump)
    link = LINKS.get(objective, Link.IDENTITY)
    is_classifier = objective in CLASSIFYING if is_booster else isinstance(original, lightgbm.LGBMClassifier)
    if is_classifier and objective not in CLASSIFYING:
        raise ConversionError(f"{model.ref.name} is a classifier with an objective of its own, which gives no probabilities")
    if "sqrt" in words:
        link = Link.SIGNED_SQUARE
    targets = int(dump["num_tree_per_iteration"])
    classes = (np.arange(max(2, targets)) if is_booster else original.classes_) if is_classifier else None
    return Boosted(sums=_forest(model, dump, _scale(dump, words)), link=link, classes=classes)


def _objective(dump: Mapping[str, Any]) -> tuple[str, Sequence[str]]:
    """Its name and its settings; there is none in a model that was trained with a function of the user's own."""
    name, *words = str(dump.get("objective", "custom")).split()
    return name, words


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
