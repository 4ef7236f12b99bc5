"""LightGBM, asked directly."""

import pickle
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fdpipe import extras
from fdpipe.artifacts import SourceModel
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.libraries.answers import FAILURES, classified, line, plain, valued
from fdpipe.libraries.native import Ask, Native
from fdpipe.mlmodel import flavour_file, flavour_settings

BOOSTER = "lightgbm.basic.Booster"

CLASSES = ("LGBMClassifier", "LGBMRegressor", "LGBMRanker")
"""Its classes like scikit-learn's, which a file may hold."""

SAFE = ("booster", "skops")
"""The forms of a file that hold no code."""

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

CLASSIFYING = ("binary", "multiclass", "multiclassova")
"""The objectives of classifiers."""


@dataclass(frozen=True)
class LightGBMLibrary:
    """Its own text, which every form of its models is kept as; it computes in float64, whatever the rows are in."""

    packages: tuple[str, ...] = ("lightgbm",)

    def keep(self, model: SourceModel, folder: Path) -> Native:
        """The trees as text, up to the best iteration if there is one, as its `predict` does; not of a pickle."""
        form = form_of(model)
        if form not in SAFE:
            raise NotApplicable(f"{model.ref.name} is in a {form} file, which would run code: log it as skops, or its booster_")
        found = load(flavour_file(model.path, "data"), form)
        booster = found if form == "booster" else found.booster_
        booster.save_model(str(folder / "model.txt"))
        return Native(library="lightgbm", file="model.txt", kind=form, classes=tuple(_classes(found)))

    def open(self, path: Path, native: Native, threads: int) -> Ask:
        """The booster, asked by any number of threads."""
        booster = load(path, "booster")
        classes = np.array(native.classes)

        def ask(rows: np.ndarray) -> dict[str, np.ndarray]:
            found = booster.predict(rows, num_threads=threads)
            return classified(classes, found) if len(classes) else valued(found)

        return ask

    def failures(self) -> tuple[type[Exception], ...]:
        """Its own error is none of Python's."""
        return (extras.require("lightgbm", extra="lightgbm").basic.LightGBMError, *FAILURES)


def form_of(model: SourceModel) -> str:
    """`booster`, or how an estimator was serialized. MLflow before 1.23 names no class: it knew boosters only; before 3.4
    or so it names no format either, and used cloudpickle."""
    settings = flavour_settings(model.path, "lightgbm")
    if settings.get("model_class", BOOSTER) == BOOSTER:
        return "booster"
    return str(settings.get("serialization_format") or "cloudpickle")


def load(path: Path, form: str) -> Any:  # noqa: ANN401 - a Booster or an LGBMModel
    """What a file in one of the `SAFE` forms holds."""
    library = extras.require("lightgbm", extra="lightgbm")
    try:
        found = library.Booster(model_file=str(path)) if form == "booster" else _load_skops(path)
    except (library.basic.LightGBMError, *DAMAGES) as error:
        raise ConversionError(f"lightgbm {library.__version__} cannot load {path.name}: {line(error)}") from error
    return checked(found, path)


def checked(found: Any, path: Path) -> Any:  # noqa: ANN401 - a Booster or an LGBMModel
    """What was loaded, if it is one of LightGBM's."""
    library = extras.require("lightgbm", extra="lightgbm")
    if not isinstance(found, library.LGBMModel | library.Booster):
        raise ConversionError(f"{path.name} holds a {type(found).__name__}, which is no model of LightGBM's")
    return found


def objective_of(dump: Mapping[str, Any]) -> tuple[str, Sequence[str]]:
    """Its name and its settings; there is none in a model that was trained with a function of the user's own."""
    name, *words = str(dump.get("objective", "custom")).split()
    return name, words


def _load_skops(path: Path) -> Any:  # noqa: ANN401 - an LGBMModel
    """The estimator, if its file names nothing but the types that one is made of, whatever MLmodel would trust."""
    import skops.io

    wanted = skops.io.get_untrusted_types(file=path)
    if foreign := [name for name in wanted if name not in TRUSTED]:
        raise ConversionError(f"{path.name} names {foreign[0]}, which no model of LightGBM's is made of: refused")
    return skops.io.load(path, trusted=wanted)


def _classes(found: Any) -> list[int | str]:  # noqa: ANN401 - a Booster or an LGBMModel
    """Those of a classifier, a booster's numbered; none of any other model."""
    if hasattr(found, "booster_"):
        classes: list[int | str] = plain(found.classes_).tolist() if type(found).__name__ == "LGBMClassifier" else []
        return classes
    dump = found.dump_model(num_iteration=1)
    return list(range(max(2, int(dump["num_class"])))) if objective_of(dump)[0] in CLASSIFYING else []
