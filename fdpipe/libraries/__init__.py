"""The libraries that models are trained with, asked directly: a registered model's own file, and who opens it.

None of these files holds code, or it is refused: they are opened in whatever process asks.
"""

from collections.abc import Mapping
from pathlib import Path

from fdpipe.artifacts import SourceModel
from fdpipe.content import from_json, to_json
from fdpipe.errors import NotApplicable, StageError
from fdpipe.libraries.catboost import CatBoostLibrary
from fdpipe.libraries.lightgbm import LightGBMLibrary
from fdpipe.libraries.native import Ask, Library, Native
from fdpipe.libraries.sklearn import SklearnLibrary
from fdpipe.libraries.xgboost import XGBoostLibrary

KIND = "native"
"""The kind of artifact."""

FILE = "native.json"
"""What the artifact's path names; the model lies beside it."""

LIBRARIES: Mapping[str, Library] = {
    "xgboost": XGBoostLibrary(),
    "lightgbm": LightGBMLibrary(),
    "catboost": CatBoostLibrary(),
    "sklearn": SklearnLibrary(),
}
"""By MLflow's flavour."""

PACKAGES = tuple(name for one in LIBRARIES.values() for name in one.packages)
"""The distributions that bring them."""


def keep(model: SourceModel, folder: Path) -> Path:
    """Write the model into `folder`, which is empty; `native.json`'s path. `NotApplicable` for a library that is not known, and
    for a file that holds code."""
    library = LIBRARIES.get(model.flavour)
    if library is None:
        raise NotApplicable(f"no library is asked for a {model.flavour} model: there are {', '.join(LIBRARIES)}")
    (folder / FILE).write_bytes(to_json(library.keep(model, folder), folder))
    return folder / FILE


def read(path: Path) -> Native:
    """What `native.json` says; `StageError` for what is none."""
    try:
        found = from_json(path.read_bytes(), Native, path.parent)
    except (OSError, ValueError) as error:
        raise StageError(f"{path.name} does not say which library opens the model: {' '.join(str(error).split())}") from error
    if found.library not in LIBRARIES:
        raise StageError(f"{path.name} names the library {found.library!r}: there are {', '.join(LIBRARIES)}")
    return found


def open_model(path: Path, threads: int) -> Ask:
    """The model that `native.json` describes, which uses so many threads within a call. `MissingExtra` where its library is
    not installed, `ConversionError` for a file that cannot be loaded."""
    native = read(path)
    return LIBRARIES[native.library].open(path.parent / native.file, native, threads)


def failures_of(path: Path) -> tuple[type[Exception], ...]:
    """What the model's library raises for rows that it does not take."""
    return LIBRARIES[read(path).library].failures()


def packages_of(path: Path) -> tuple[str, ...]:
    """The distributions of which one or all open the model."""
    return LIBRARIES[read(path).library].packages
