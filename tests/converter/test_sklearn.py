"""scikit-learn → ONNX."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.cluster import KMeans
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from fdpipe.arrays import Batch
from fdpipe.artifacts import SourceModel, Task
from fdpipe.converter.sklearn import Sklearn
from fdpipe.errors import ConversionError, SourceError
from fdpipe.isolation import refuse_code
from fdpipe.processor.none import Plain
from fdpipe.processor.tabular import Tabular
from tests.contracts.converter import ConverterContract, answers, ask, exported
from tests.contracts.settings import built
from tests.models import people, people_model, saved_sklearn

X = np.random.default_rng(3).normal(size=(80, 3)).astype(np.float32)
THREE = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
FRAME = pd.DataFrame(X.astype(np.float64), columns=["a", "b c", "d"])


class TestSklearn(ConverterContract):
    @pytest.fixture
    def converter(self) -> Sklearn:
        return Sklearn()

    @pytest.fixture
    def model(self, tmp_path: Path) -> SourceModel:
        estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, THREE)
        return saved_sklearn(tmp_path / "model", estimator, X)

    @pytest.fixture
    def batch(self) -> Batch:
        return {"input": X}

    def test_its_file_is_the_default(self) -> None:
        assert built("converter", "sklearn") == Sklearn()


def both(model: SourceModel, features: Batch, folder: Path) -> tuple[Batch, Batch]:
    """The original's and the export's answers to the features, these put through the model's own processor."""
    export = exported(Sklearn(), model, folder)
    processor = (Tabular() if model.columns else Plain()).bind(model, export.inputs, folder)
    original = answers(Sklearn(), model, features)
    assert set(original) == {spec.name for spec in export.outputs}
    return original, ask(export.path, processor.prepare(features))


def columns_of(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    return {str(name): frame[name].to_numpy(str if frame[name].dtype == "str" else None) for name in frame}


def test_strings_missing_values_and_whole_numbers_by_column(tmp_path: Path) -> None:
    frame, label = people()
    model = saved_sklearn(tmp_path / "model", people_model(frame, label), frame)
    original, exported = both(model, columns_of(people(seed=1)[0]), tmp_path)
    assert set(original["label"]) == {"yes", "no"}
    assert original["label"].tolist() == exported["label"].tolist()
    np.testing.assert_allclose(original["probabilities"], exported["probabilities"], atol=1e-5)


@pytest.mark.parametrize(
    "estimator",
    [RandomForestClassifier(20, random_state=0), make_pipeline(StandardScaler(), LogisticRegression())],
)
def test_columns_of_one_kind_are_one_tensor(tmp_path: Path, estimator: Any) -> None:  # noqa: ANN401
    model = saved_sklearn(tmp_path / "model", estimator.fit(FRAME, THREE), FRAME)
    original, exported = both(model, columns_of(FRAME), tmp_path)
    assert original["label"].tolist() == exported["label"].tolist()


def test_columns_of_strings_are_one_tensor(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": ["a", "b", ""] * 10, "y": ["u", "v", "u"] * 10})
    estimator = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(frame, frame["x"] == "a")
    original, exported = both(saved_sklearn(tmp_path / "model", estimator, frame), columns_of(frame), tmp_path)
    assert original["label"].tolist() == exported["label"].tolist() == [1, 0, 0] * 10


@pytest.mark.parametrize("targets", [1, 2])
def test_regressors_answer_values_by_target(tmp_path: Path, targets: int) -> None:
    y = X @ np.ones((3, targets)) if targets > 1 else X.sum(axis=1)
    model = saved_sklearn(tmp_path / "model", LinearRegression().fit(X, y), X)
    original, exported = both(model, {"input": X}, tmp_path)
    assert original["value"].shape == exported["value"].shape == (80, targets)
    np.testing.assert_allclose(original["value"], exported["value"], rtol=1e-4, atol=1e-5)


def test_a_classifier_without_probabilities_answers_labels_only(tmp_path: Path) -> None:
    original, exported = both(saved_sklearn(tmp_path / "model", LinearSVC().fit(X, THREE), X), {"input": X}, tmp_path)
    assert original["label"].tolist() == exported["label"].tolist()
    assert set(exported) == {"label"}


def test_tasks(tmp_path: Path) -> None:
    classifier = saved_sklearn(tmp_path / "c", LogisticRegression().fit(X, THREE), X)
    regressor = saved_sklearn(tmp_path / "r", LinearRegression().fit(X, THREE), X)
    assert exported(Sklearn(), classifier, tmp_path / "ce").task is Task.CLASSIFICATION
    assert exported(Sklearn(), regressor, tmp_path / "re").task is Task.REGRESSION


class Shout:
    """What a pickle can do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:  # noqa: ANN401
        return os.mkdir, (str(self.path),)


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    model = saved_sklearn(tmp_path / "model", LogisticRegression().fit(X, THREE), X, serialization_format="cloudpickle")
    (model.path / "model.pkl").write_bytes(cloudpickle.dumps(Shout(tmp_path / "ran")))
    with pytest.raises(ConversionError, match=r"tiny holds code, a cloudpickle file.*source\.trust=tiny"):
        refuse_code(Sklearn(), model)
    assert not (tmp_path / "ran").exists()


def test_a_pickle_answers_where_it_is_trusted(tmp_path: Path) -> None:
    estimator = LogisticRegression().fit(X, THREE)
    model = saved_sklearn(tmp_path / "model", estimator, X, serialization_format="cloudpickle")
    refuse_code(Sklearn(), replace(model, trusted=True))
    assert answers(Sklearn(), model, {"input": X})["label"].tolist() == estimator.predict(X).tolist()


@pytest.mark.parametrize("function", [os.system, np.save, np.testing.assert_equal])
def test_a_file_that_names_anything_but_known_classes_is_refused(tmp_path: Path, function: Any) -> None:  # noqa: ANN401
    model = saved_sklearn(tmp_path / "model", LogisticRegression().fit(X, THREE), X)
    planted = make_pipeline(FunctionTransformer(function), LogisticRegression().fit(X, THREE))
    skops.io.dump(planted, model.path / "model.skops")
    with pytest.raises(ConversionError, match=function.__name__):
        exported(Sklearn(), model, tmp_path)


@pytest.mark.parametrize("name", ["../outside.skops", "/etc/hostname", "nosuch.skops"])
def test_a_file_outside_the_models_folder_is_refused(tmp_path: Path, name: str) -> None:
    model = saved_sklearn(tmp_path / "model", LogisticRegression().fit(X, THREE), X)
    (model.path / "model.skops").rename(tmp_path / "outside.skops")
    described = model.path / "MLmodel"
    described.write_text(described.read_text().replace("pickled_model: model.skops", f"pickled_model: {name}"))
    with pytest.raises(SourceError, match="is no file of this model"):
        exported(Sklearn(), model, tmp_path)


def two_columns_mixed(folder: Path) -> SourceModel:
    frame = pd.DataFrame({"x": ["a", "b"] * 5, "y": [1.0, 2.0] * 5})
    estimator = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(frame, [0, 1] * 5)
    return saved_sklearn(folder, estimator, frame)


def without_signature(folder: Path) -> SourceModel:
    return saved_sklearn(folder, LogisticRegression().fit(X, THREE), X, signature=None)


def several_labels(folder: Path) -> SourceModel:
    estimator = RandomForestClassifier(2).fit(X, np.stack([THREE, THREE], axis=1))
    return saved_sklearn(folder, estimator, X)


def several_tensors(folder: Path) -> SourceModel:
    from mlflow.models import infer_signature

    signature = infer_signature({"a": X, "b": X})
    return saved_sklearn(folder, LogisticRegression().fit(X, THREE), X, signature=signature)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (two_columns_mixed, "must begin with a ColumnTransformer"),
        (without_signature, "tiny has no signature"),
        (several_labels, "RandomForestClassifier is neither a classifier of one label nor a regressor"),
        (several_tensors, "scikit-learn takes one"),
        (lambda folder: saved_sklearn(folder, KMeans(2, n_init=1).fit(X), X), "KMeans is neither a classifier"),
        (lambda folder: saved_sklearn(folder, DummyRegressor().fit(X, THREE), X), "skl2onnx cannot export this DummyRegressor"),
    ],
)
def test_what_cannot_be_exported_is_one_clear_line(tmp_path: Path, make: Any, told: str) -> None:  # noqa: ANN401
    with pytest.raises(ConversionError, match=told) as caught:
        exported(Sklearn(), make(tmp_path / "model"), tmp_path)
    assert "\n" not in str(caught.value)


def test_an_original_that_cannot_answer_is_one_clear_line(tmp_path: Path) -> None:
    model = saved_sklearn(tmp_path / "model", LogisticRegression().fit(X, THREE), X)
    with pytest.raises(ConversionError, match="the original cannot answer: Input X contains NaN"):
        answers(Sklearn(), model, {"input": np.full((2, 3), np.nan)})
