"""scikit-learn, asked directly: estimators in skops files, alone or at the end of a pipeline."""

import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fdpipe import extras
from fdpipe.artifacts import SourceModel
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.libraries._threads import bounded
from fdpipe.libraries.answers import line, plain
from fdpipe.libraries.estimators import answering_of, ask, inside
from fdpipe.libraries.native import Ask, Native
from fdpipe.libraries.skops_types import foreign
from fdpipe.mlmodel import flavour_file

REFUSALS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, StopIteration)
"""What an estimator raises that does not take the rows, or was saved by another version of scikit-learn."""

LIKELIEST = (
    "DecisionTreeClassifier", "ExtraTreeClassifier", "RandomForestClassifier", "ExtraTreesClassifier",
    "HistGradientBoostingClassifier",
)  # fmt: skip
"""Classifiers whose label is the first of the likeliest classes: they need be asked only once."""


@dataclass(frozen=True)
class SklearnLibrary:
    """Files of skops, which name nothing but what scikit-learn's own estimators are made of."""

    packages: tuple[str, ...] = ("scikit-learn", "skops")

    def keep(self, model: SourceModel, folder: Path) -> Native:
        """A copy of the registered file; not of a pickle."""
        if model.serialization != "skops":
            raise NotApplicable(f"{model.ref.name} is in a {model.serialization} file, which would run code: log it as skops")
        path = flavour_file(model.path, "pickled_model")
        shutil.copyfile(path, folder / "model.skops")
        return Native(library="sklearn", file="model.skops")

    def open(self, path: Path, native: Native, threads: int) -> Ask:
        """The estimator, which takes its columns in order, without their names. Its own threads are set once; those of the
        libraries that it calculates with at each call."""
        try:
            estimator = load(path)
        except (*REFUSALS, ImportError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise ConversionError(f"scikit-learn cannot load {path.name}: {line(error)}") from error
        for one in inside(estimator):
            vars(one).pop("feature_names_in_", None)
            if hasattr(one, "n_jobs"):
                one.n_jobs = threads
        answer, within = _answering(estimator), bounded(threads)

        def asked(rows: np.ndarray) -> dict[str, np.ndarray]:
            with within():
                return answer(rows)

        return asked

    def failures(self) -> tuple[type[Exception], ...]:
        """What estimators raise."""
        return REFUSALS


def load(path: Path) -> Any:  # noqa: ANN401 - an estimator has no type of its own
    """The estimator, if its file names nothing but what scikit-learn's own are made of."""
    skops = extras.require("skops.io", extra="")
    wanted = skops.get_untrusted_types(file=path)
    if others := foreign(wanted):
        raise ConversionError(f"{path.name} names {others[0]}, which no estimator of scikit-learn's is made of: refused")
    return skops.load(path, trusted=wanted)


def _answering(estimator: Any) -> Ask:  # noqa: ANN401 - an estimator has no type of its own
    """What it is asked for new rows; a tree's label follows from its probabilities."""
    answering = answering_of(estimator)
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    name = type(last).__name__
    is_boosted_pair = name == "GradientBoostingClassifier" and len(last.classes_) == 2
    if name not in LIKELIEST and not is_boosted_pair:
        return lambda rows: ask(estimator, answering, rows)
    classes = plain(last.classes_)

    def likeliest(rows: np.ndarray) -> dict[str, np.ndarray]:
        found = estimator.predict_proba(rows)
        # of two equally likely classes, gradient boosting takes the second
        chosen = (found[:, 1] >= 0.5).astype(np.intp) if is_boosted_pair else found.argmax(axis=1)
        return {"label": classes[chosen], "probabilities": found.astype(np.float32)}

    return likeliest
