"""Models in their own libraries' files, each beside what it was converted to."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fdpipe.arrays import Batch
from fdpipe.artifacts import Artifact, Precision, SourceModel
from fdpipe.content import tree_digest
from fdpipe.converter.catboost import CatBoost
from fdpipe.converter.lightgbm import LightGBM
from fdpipe.converter.sklearn import Sklearn
from fdpipe.converter.xgboost import XGBoost
from fdpipe.interfaces import Converter
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.stages.original import original
from fdpipe.store import LocalStore
from tests.converter.boosting import saved
from tests.models import saved_sklearn

CONVERTERS: dict[str, Converter] = {
    "xgboost": XGBoost(),
    "lightgbm": LightGBM(),
    "catboost": CatBoost(),
    "sklearn": Sklearn(),
}


@cache
def data(classes: int = 2, rows: int = 300, features: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Rows of float32, and the class of each or, without classes, a value."""
    random = np.random.default_rng(classes)
    x = random.normal(size=(rows, features)).astype(np.float32)
    score = x[:, 0] * x[:, 1] + np.abs(x[:, 2])
    return x, np.digitize(score, np.quantile(score, np.arange(1, classes) / classes)) if classes else score


def registered(folder: Path, estimator: Any, features: Any = None, **settings: Any) -> SourceModel:  # noqa: ANN401
    """The fitted model in the MLflow flavour of its library."""
    given = data()[0] if features is None else features
    library = type(estimator).__module__.partition(".")[0]
    if library == "sklearn":
        return saved_sklearn(folder, estimator, given, **settings)
    return saved(folder, library, estimator, given, **settings)


def converted(model: SourceModel, folder: Path, precision: Precision = Precision.FLOAT32) -> Artifact:
    """The model as ONNX."""
    converter = CONVERTERS[model.flavour]
    folder.mkdir(parents=True)
    export = converter.export(model, converter.load(model), folder, precision)
    return Artifact(
        kind="onnx", path=export.path, digest=tree_digest(folder), size_bytes=export.path.stat().st_size,
        inputs=export.inputs, outputs=export.outputs,
    )  # fmt: skip


def both(folder: Path, estimator: Any, features: Any = None, **settings: Any) -> tuple[Artifact, Artifact]:  # noqa: ANN401
    """The model as ONNX, and itself."""
    model = registered(folder / "registered", estimator, features, **settings)
    baseline = converted(model, folder / "onnx")
    return baseline, original(LocalStore(folder / "store"), model, baseline)


def exported_answers(baseline: Artifact, batch: Batch) -> dict[str, np.ndarray]:
    """The export's."""
    return OnnxRuntime().open(baseline, {"threads": 1}).run(batch)


def columns() -> pd.DataFrame:
    """The rows as a data frame, whose columns have names."""
    return pd.DataFrame(data()[0].astype(np.float64), columns=[f"column {number}" for number in range(16)])
