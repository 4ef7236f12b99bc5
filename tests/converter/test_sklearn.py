"""scikit-learn → ONNX."""

import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import joblib  # type: ignore[import-untyped]
import numpy as np
import onnx
import pandas as pd
import pytest
import skops.io
from sklearn.cluster import DBSCAN, KMeans
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.feature_selection import RFE, SelectKBest
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import FixedThresholdClassifier, RandomizedSearchCV
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    PowerTransformer,
    StandardScaler,
)
from sklearn.svm import LinearSVC

from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel, Task
from fdpipe.converter.sklearn import Sklearn
from fdpipe.errors import ConversionError, SourceError
from fdpipe.isolation import refuse_code
from fdpipe.mlmodel import describe
from fdpipe.processor.none import Plain
from fdpipe.processor.tabular import Tabular
from tests.contracts.converter import ConverterContract, answers, ask, exported
from tests.contracts.settings import built
from tests.models import people, people_model, saved_sklearn

X = np.random.default_rng(3).normal(size=(80, 3)).astype(np.float32)
THREE = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
FRAME = pd.DataFrame(X.astype(np.float64), columns=["a", "b c", "d"])
HOLED = np.where(np.random.default_rng(4).random(X.shape) < 0.2, np.float32(np.nan), X)
TEXTS = np.array(["Öl in the pump", "an INVOICE from Zürich", "the pump leaks", "x y pay it"] * 5)


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


def both(model: SourceModel, features: Batch, folder: Path, precision: Precision = Precision.FLOAT32) -> tuple[Batch, Batch]:
    """The original's and the export's answers to the features, these put through the model's own processor."""
    export = exported(Sklearn(), model, folder, precision)
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


def saved_pickle(folder: Path, estimator: Any, features: Any = X) -> SourceModel:  # noqa: ANN401
    return saved_sklearn(folder, estimator, features, serialization_format="cloudpickle")


KINDS: list[tuple[Any, np.ndarray, Task, set[str]]] = [
    (KMeans(2, n_init=1, random_state=0), X, Task.CLASSIFICATION, {"label"}),
    (GaussianMixture(2, random_state=0), X, Task.CLASSIFICATION, {"label", "probabilities"}),
    (IsolationForest(n_estimators=5, random_state=0), HOLED, Task.TENSORS, {"label", "scores"}),
    (SelectKBest(k=2), X, Task.TENSORS, {"transformed"}),
    (PowerTransformer(), HOLED, Task.TENSORS, {"transformed"}),
    (NearestNeighbors(n_neighbors=2), X, Task.TENSORS, {"index", "distance"}),
    (TfidfVectorizer(ngram_range=(1, 2)), TEXTS, Task.TENSORS, {"transformed"}),
    (CountVectorizer(), TEXTS, Task.TENSORS, {"transformed"}),
]


@pytest.mark.parametrize(("estimator", "rows", "task", "names"), KINDS, ids=lambda value: type(value).__name__)
def test_answers_by_kind_of_estimator(tmp_path: Path, estimator: Any, rows: Any, task: Task, names: set[str]) -> None:  # noqa: ANN401
    model = saved_pickle(tmp_path / "model", estimator.fit(rows, THREE[: len(rows)]), rows)
    assert exported(Sklearn(), model, tmp_path / "e").task is task
    original, copy = both(model, {"input": rows}, tmp_path)
    assert set(original) == set(copy) == names
    alike(original, copy)


def alike(original: Batch, copy: Batch) -> None:
    for name, array in original.items():
        assert array.shape == copy[name].shape
        if array.dtype.kind == "f":
            np.testing.assert_allclose(array, copy[name], rtol=1e-4, atol=1e-5)
        else:
            assert array.tolist() == copy[name].tolist()


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(10, random_state=0),
        ExtraTreesRegressor(10, random_state=0),
        HistGradientBoostingClassifier(max_iter=3),
        HistGradientBoostingRegressor(max_iter=3),
        make_pipeline(SimpleImputer(), RandomForestClassifier(10, random_state=0)),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("trained", [X, HOLED], ids=["whole", "holed"])
@pytest.mark.parametrize("precision", Precision)
def test_missing_values_in_trees(tmp_path: Path, estimator: Any, trained: np.ndarray, precision: Precision) -> None:  # noqa: ANN401
    model = saved_sklearn(tmp_path / "model", estimator.fit(trained, THREE), X)
    alike(*both(model, {"input": HOLED}, tmp_path, precision))


@pytest.mark.parametrize(
    "estimator", [LogisticRegression(), RandomForestClassifier(30, random_state=0), HistGradientBoostingClassifier(max_iter=5)]
)
def test_in_float64_it_answers_as_exactly(tmp_path: Path, estimator: Any) -> None:  # noqa: ANN401
    """Between two steps of float32 lies the threshold of every tree behind a scaler."""
    whole = np.random.default_rng(0).integers(0, 9, (80, 3)).astype(np.float64) / 7
    model = saved_sklearn(tmp_path / "model", make_pipeline(StandardScaler(), estimator).fit(whole, THREE), whole)
    export = exported(Sklearn(), model, tmp_path / "e", Precision.FLOAT64)
    assert {spec.dtype for spec in (*export.inputs, *export.outputs)} == {"float64", "int64"}
    original, copy = both(model, {"input": whole}, tmp_path, Precision.FLOAT64)
    assert original["label"].tolist() == copy["label"].tolist()
    np.testing.assert_allclose(original["probabilities"], copy["probabilities"], atol=2e-6)


def searched() -> Any:  # noqa: ANN401 - an estimator has no type of its own
    return RandomizedSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [1, 2]}, n_iter=2
    )


@pytest.mark.parametrize(
    "estimator",
    [
        searched(),
        FrozenEstimator(LogisticRegression().fit(X, THREE)),
        make_pipeline(StandardScaler(), RandomizedSearchCV(LogisticRegression(), {"C": [1, 2]}, n_iter=2)),
        RFE(LogisticRegression(), n_features_to_select=2),
        make_pipeline(KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"), LogisticRegression()),
        VotingClassifier([("one", LogisticRegression()), ("other", RandomForestClassifier(3, random_state=0))]),
        Pipeline([("nothing", "passthrough"), ("last", LogisticRegression())]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_skl2onnx_would_refuse_without_need(tmp_path: Path, estimator: Any) -> None:  # noqa: ANN401
    model = saved_pickle(tmp_path / "model", estimator.fit(X, THREE))
    alike(*both(model, {"input": X}, tmp_path))


def test_its_operators_are_in_one_order(tmp_path: Path) -> None:
    """skl2onnx has them in a set, whose order is another one in each process."""
    frame, label = people()
    export = exported(Sklearn(), saved_sklearn(tmp_path / "m", people_model(frame, label), frame), tmp_path)
    domains = [one.domain for one in onnx.load(export.path).opset_import]
    assert domains == sorted(domains)
    assert len(domains) > 1


def test_the_original_stays_as_it_was(tmp_path: Path) -> None:
    binned = KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf").fit(X)
    model = saved_pickle(tmp_path / "model", binned)
    original = Sklearn().load(model)
    (tmp_path / "export").mkdir()
    Sklearn().export(model, original, tmp_path / "export", Precision.FLOAT32)
    assert original.encode == "onehot"


def test_texts_as_a_column(tmp_path: Path) -> None:
    series = pd.Series(TEXTS, name="text")
    model = saved_sklearn(
        tmp_path / "model", make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(series, [0, 1] * 10), series
    )
    alike(*both(model, {"text": TEXTS}, tmp_path))


def test_an_overflow_of_float32_shows(tmp_path: Path) -> None:
    wide = X.astype(np.float64)
    model = saved_sklearn(tmp_path / "model", LinearRegression().fit(wide, wide @ np.ones(3) * 1e38), wide)
    original, copy = both(model, {"input": np.full((1, 3), 100.0)}, tmp_path)
    assert np.isfinite(original["value"]).all()
    assert not np.isfinite(copy["value"]).any()


@pytest.mark.parametrize("word", ["pickle", "cloudpickle", "joblib"])
def test_older_files(tmp_path: Path, word: str) -> None:
    """MLflow before 3 wrote a pickle by default, and called it model.pkl."""
    estimator = LogisticRegression().fit(X, THREE)
    model = saved_sklearn(tmp_path / "model", estimator, X, serialization_format="pickle")
    described = model.path / "MLmodel"
    described.write_text(described.read_text().replace("serialization_format: pickle", f"serialization_format: {word}"))
    dump = {"pickle": pickle.dump, "cloudpickle": cloudpickle.dump, "joblib": joblib.dump}[word]
    with (model.path / "model.pkl").open("wb") as stream:
        dump(estimator, stream)
    again = describe(model.ref, model.path)
    assert Sklearn().risk(again) == f"a {word} file"
    assert answers(Sklearn(), again, {"input": X})["label"].tolist() == estimator.predict(X).tolist()


@pytest.mark.parametrize("word", ["skops", "pickle", "joblib"])
@pytest.mark.parametrize("content", [b"", b"no such file", b"PK\x03\x04broken", b"\x80\x04cnosuch\nname\n."])
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, word: str, content: bytes) -> None:
    model = saved_sklearn(tmp_path / "model", LogisticRegression().fit(X, THREE), X)
    (model.path / "model.skops").write_bytes(content)
    with pytest.raises(ConversionError, match=f"model.skops cannot be loaded as {word}: ") as caught:
        Sklearn().load(replace(model, serialization=word))
    assert "\n" not in str(caught.value)


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


def missing_as_none(folder: Path) -> SourceModel:
    frame = pd.DataFrame({"x": ["a", "b", None] * 10}, dtype=object)
    estimator = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(frame, [0, 1, 0] * 10)
    return saved_pickle(folder, estimator, pd.DataFrame({"x": ["a", "b"]}))


def categorical_trees(folder: Path) -> SourceModel:
    whole = (X > 0).astype(float)
    return saved_pickle(folder, HistGradientBoostingClassifier(max_iter=2, categorical_features=[0]).fit(whole, THREE))


def own_threshold() -> Any:  # noqa: ANN401 - an estimator has no type of its own
    return FixedThresholdClassifier(LogisticRegression(), threshold=0.2).fit(X, THREE > 0)


def stop_words(folder: Path) -> SourceModel:
    counter = CountVectorizer(stop_words=["the"], ngram_range=(1, 2)).fit(TEXTS)
    return saved_pickle(folder, counter, TEXTS)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (two_columns_mixed, "must begin with a ColumnTransformer"),
        (without_signature, "tiny has no signature"),
        (several_labels, "RandomForestClassifier is no classifier of one label a row: split it"),
        (several_tensors, "scikit-learn takes one"),
        (lambda folder: saved_pickle(folder, DBSCAN().fit(X)), "DBSCAN answers no new rows: it has neither predict nor"),
        (missing_as_none, "OneHotEncoder was fitted with missing strings as None or NaN: train with missing strings as ''"),
        (categorical_trees, "cannot export HistGradientBoostingClassifier with categorical features: encode them"),
        (lambda folder: saved_pickle(folder, own_threshold()), "it would leave out the threshold"),
        (lambda folder: saved_pickle(folder, SimpleImputer(add_indicator=True).fit(HOLED)), "leave out the indicators"),
        (stop_words, "CountVectorizer with stop words and ngram_range"),
        (
            lambda folder: saved_pickle(folder, make_pipeline(FunctionTransformer(np.abs), LinearRegression()).fit(X, THREE)),
            "FunctionTransformer is not supported unless",
        ),
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
