"""CatBoost, asked directly."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fdpipe import extras
from fdpipe.artifacts import SourceModel
from fdpipe.errors import ConversionError
from fdpipe.libraries.answers import FAILURES, classified, line, valued
from fdpipe.libraries.native import Ask, Native
from fdpipe.mlmodel import flavour_file, flavour_settings

CLASSES = ("CatBoost", "CatBoostClassifier", "CatBoostRegressor", "CatBoostRanker")

FORMATS = ("cbm", "json")
"""The formats of a file that CatBoost can read again as the model that was saved."""


@dataclass(frozen=True)
class CatBoostLibrary:
    """Its own binary format and its JSON."""

    packages: tuple[str, ...] = ("catboost",)

    def keep(self, model: SourceModel, folder: Path) -> Native:
        """A copy of the registered file, named by its format."""
        kind, form = kind_of(model)
        path = flavour_file(model.path, "data")
        load(path, kind, form)
        shutil.copyfile(path, folder / f"model.{form}")
        return Native(library="catboost", file=f"model.{form}", kind=kind)

    def open(self, path: Path, native: Native, threads: int) -> Ask:
        """The model, whose classes stand in its file, asked by any number of threads."""
        model = load(path, native.kind, path.suffix.removeprefix("."))
        classes = np.asarray(model.classes_)

        def ask(rows: np.ndarray) -> dict[str, np.ndarray]:
            if len(classes):
                return classified(classes, model.predict(rows, prediction_type="Probability", thread_count=threads))
            return valued(model.predict(rows, thread_count=threads))

        return ask

    def failures(self) -> tuple[type[Exception], ...]:
        """Its own error is none of Python's."""
        return (extras.require("catboost", extra="catboost").CatBoostError, *FAILURES)


def kind_of(model: SourceModel) -> tuple[str, str]:
    """The class that MLmodel names, and the format of the file."""
    settings = flavour_settings(model.path, "catboost")
    name, form = settings.get("model_type"), settings.get("save_format") or "cbm"
    if name not in CLASSES:
        raise ConversionError(f"MLmodel names the class {name!r}: it must be one of catboost's, {', '.join(CLASSES)}")
    if form not in FORMATS:
        raise ConversionError(f"{model.ref.name} was saved as {form!r}, which CatBoost cannot read again: save it as cbm")
    return str(name), str(form)


def load(path: Path, kind: str, form: str) -> Any:  # noqa: ANN401 - a CatBoost
    """A new model of the class, with the file's trees."""
    library = extras.require("catboost", extra="catboost")
    made = getattr(library, kind)()
    try:
        made.load_model(str(path), format=form)
    except (library.CatBoostError, *FAILURES) as error:
        raise ConversionError(f"catboost {library.__version__} cannot load {path.name}: {line(error)}") from error
    return made
