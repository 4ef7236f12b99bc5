"""XGBoost, asked directly."""

import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fdpipe import extras
from fdpipe.artifacts import SourceModel
from fdpipe.errors import ConversionError
from fdpipe.libraries._xgboost_rows import MARGIN, VALUE, asking
from fdpipe.libraries.answers import FAILURES, classified, line, valued
from fdpipe.libraries.native import Ask, Native
from fdpipe.mlmodel import flavour_file, flavour_settings

BOOSTER = "Booster"

CLASSES = ("XGBClassifier", "XGBRegressor", "XGBRanker", "XGBRFClassifier", "XGBRFRegressor")
"""Its classes like scikit-learn's, which MLmodel may name."""

CLASSIFYING = ("binary:logistic", "binary:hinge", "multi:softprob", "multi:softmax")
"""The objectives of classifiers."""


@dataclass(frozen=True)
class XGBoostLibrary:
    """Its JSON and UBJSON files; a forest is asked where the rows lie, without a copy, and by any number of threads."""

    packages: tuple[str, ...] = ("xgboost", "xgboost-cpu")

    def keep(self, model: SourceModel, folder: Path) -> Native:
        """A copy of the registered file."""
        path, kind = flavour_file(model.path, "data"), kind_of(model)
        booster = booster_of(load(path, kind))
        is_classifier = objective_of(booster) in CLASSIFYING if kind == BOOSTER else kind.endswith("Classifier")
        shutil.copyfile(path, folder / path.name)
        classes = classes_of(booster).tolist() if is_classifier else ()
        return Native(library="xgboost", file=path.name, kind=kind, classes=tuple(classes))

    def open(self, path: Path, native: Native, threads: int) -> Ask:
        """Trees up to the best iteration, but all of a `Booster`'s own; as the library itself does."""
        booster = bounded(path, threads)
        objective = objective_of(booster)
        classes = np.array(native.classes) if native.classes else None
        best = None if native.kind == BOOSTER else booster.attr("best_iteration")
        used = (0, 0) if best is None else (0, int(best) + 1)
        asked = _by_copy(booster, threads) if _is_linear(booster) else _in_place(booster, used)
        return lambda rows: answers(classes, objective, lambda margin: asked(rows, margin))

    def failures(self) -> tuple[type[Exception], ...]:
        """Its own error is one of Python's."""
        return FAILURES


def kind_of(model: SourceModel) -> str:
    """The class that MLmodel names; MLflow before 1.22 names none: it knew boosters only."""
    named = str(flavour_settings(model.path, "xgboost").get("model_class", "xgboost.core.Booster"))
    module, _, name = named.rpartition(".")
    if module.partition(".")[0] != "xgboost" or name not in (BOOSTER, *CLASSES):
        raise ConversionError(
            f"MLmodel names the class {named!r}: it must be one of xgboost's, Booster or {', '.join(CLASSES)}"
        )
    return name


def load(path: Path, kind: str) -> Any:  # noqa: ANN401 - a Booster or an XGBModel
    """A new model of the class, with the file's trees."""
    library = extras.require("xgboost", extra="xgboost")
    made = getattr(library, kind)()
    try:
        made.load_model(str(path))
    except (library.core.XGBoostError, *FAILURES) as error:
        raise ConversionError(f"xgboost {library.__version__} cannot load {path.name}: {line(error)}") from error
    return made


def bounded(path: Path, threads: int) -> Any:  # noqa: ANN401 - a Booster
    """The file's booster, which uses so many threads within a call."""
    booster = load(path, BOOSTER)
    booster.set_param({"nthread": threads})
    return booster


def booster_of(model: Any) -> Any:  # noqa: ANN401 - a Booster or an XGBModel
    """The booster inside."""
    return model if type(model).__name__ == BOOSTER else model.get_booster()


def objective_of(booster: Any) -> str:  # noqa: ANN401 - a Booster
    """The objective, in XGBoost's words."""
    return str(_learner(booster)["objective"]["name"])


def classes_of(booster: Any) -> np.ndarray:  # noqa: ANN401 - a Booster
    """A classifier's, which are numbered."""
    return np.arange(max(2, int(_learner(booster)["learner_model_param"]["num_class"])))


def answers(classes: np.ndarray | None, objective: str, ask: Callable[[bool], np.ndarray]) -> dict[str, np.ndarray]:
    """What a model answers; `ask` gives its predictions or, if its argument is true, the sums of its leaves."""
    if classes is None:
        return valued(ask(False))
    scores = ask(objective == "multi:softmax")
    if objective == "multi:softmax":  # which answers with the class alone
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores = powers / powers.sum(axis=1, keepdims=True)
    return classified(classes, scores)


def _learner(booster: Any) -> Any:  # noqa: ANN401 - JSON
    return json.loads(booster.save_config())["learner"]


def _is_linear(booster: Any) -> bool:  # noqa: ANN401 - a Booster
    return bool(_learner(booster)["gradient_booster"]["name"] == "gblinear")


def _in_place(booster: Any, used: tuple[int, int]) -> Callable[[np.ndarray, bool], np.ndarray]:  # noqa: ANN401
    value, margin = (asking(booster, used, predicted) for predicted in (VALUE, MARGIN))
    return lambda rows, of_leaves: (margin if of_leaves else value)(rows)


def _by_copy(booster: Any, threads: int) -> Callable[[np.ndarray, bool], np.ndarray]:  # noqa: ANN401 - a Booster
    """Only trees can be asked in place, and only these by several threads."""
    from xgboost import DMatrix

    turn = threading.Lock()

    def ask(rows: np.ndarray, margin: bool) -> np.ndarray:
        with turn:
            found: np.ndarray = booster.predict(DMatrix(rows, nthread=threads), output_margin=margin, validate_features=False)
            return found

    return ask
