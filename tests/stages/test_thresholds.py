"""Rows at the thresholds of trees: there are some on both sides, whatever stands before the trees."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fdpipe import graphs
from fdpipe.arrays import Batch, rows_in
from fdpipe.artifacts import Artifact, Precision
from fdpipe.converter.sklearn import Sklearn
from fdpipe.interfaces import Processor
from fdpipe.processor.none import Plain
from fdpipe.processor.tabular import Tabular
from fdpipe.stages.thresholds import MOST_ROWS, STEPS, rows_at_thresholds
from tests.models import saved_onnx, saved_sklearn, two_inputs


def exported(folder: Path, estimator: Any, features: Any) -> tuple[Artifact, Processor]:  # noqa: ANN401 - as saved_sklearn
    model = saved_sklearn(folder / "saved", estimator, features)
    (folder / "export").mkdir()
    made = Sklearn().export(model, Sklearn().load(model), folder / "export", Precision.FLOAT32)
    artifact = Artifact(kind="onnx", path=made.path, digest="", size_bytes=0, inputs=made.inputs, outputs=made.outputs)
    kind: Processor = Tabular() if model.columns else Plain()
    return artifact, kind.bind(model, made.inputs, folder)


def ask(artifact: Artifact, processor: Processor, rows: Batch) -> np.ndarray:
    session = graphs.open_inside_out(artifact.path)
    (found,) = session.run(["value"], processor.prepare(rows))
    return np.asarray(found).ravel()


def step(frame: pd.DataFrame) -> np.ndarray:
    """1 above 0.3 of the first column."""
    return np.asarray(frame["a"] > 0.3, float)


def features_of(frame: pd.DataFrame) -> Batch:
    return {str(name): frame[name].to_numpy() for name in frame}


@pytest.fixture
def frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame({"a": random.uniform(0, 1, 200), "b": random.uniform(-5, 5, 200)})


@pytest.mark.parametrize("behind", ["nothing", "scaler", "rotation"])
def test_both_sides_of_a_split_are_met(tmp_path: Path, frame: pd.DataFrame, behind: str) -> None:
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeRegressor

    before = {"nothing": [], "scaler": [StandardScaler()], "rotation": [StandardScaler(), PCA()]}[behind]
    estimator = make_pipeline(*before, DecisionTreeRegressor(max_depth=1, random_state=0)).fit(frame, step(frame))
    artifact, processor = exported(tmp_path, estimator, frame)
    features = features_of(frame)
    rows = rows_at_thresholds(artifact, processor, features)
    assert rows is not None
    assert 0 < rows_in(rows) <= MOST_ROWS
    answers = ask(artifact, processor, rows).reshape(-1, len(STEPS))
    assert (answers[:, 0] != answers[:, -1]).all()  # two steps of float32 before and behind
    if behind != "rotation":
        assert np.ptp(rows["a"]) < 1e-6  # all at the only threshold
        assert set(rows["b"]) <= set(features["b"])
    again = rows_at_thresholds(artifact, processor, features)
    assert again is not None
    np.testing.assert_array_equal(again["a"], rows["a"])


def test_the_numbers_of_a_wide_tensor_are_set_one_by_one(tmp_path: Path) -> None:
    from sklearn.tree import DecisionTreeRegressor

    features = np.random.default_rng(0).uniform(0, 1, (100, 400))
    estimator = DecisionTreeRegressor(max_depth=6, random_state=0).fit(features, features.sum(axis=1))
    artifact, processor = exported(tmp_path, estimator, features)
    rows = rows_at_thresholds(artifact, processor, {"input": features})
    assert rows is not None
    changed = [(features == row).sum(axis=1).max() for row in rows["input"]]
    assert set(changed) <= {399, 400}


def test_whole_numbers_stay_whole(tmp_path: Path) -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.tree import DecisionTreeRegressor

    frame = pd.DataFrame({"count": np.arange(50), "b": np.linspace(0, 1, 50)})
    columns = make_column_transformer(("passthrough", ["count", "b"]))
    estimator = make_pipeline(columns, DecisionTreeRegressor(max_depth=1)).fit(frame, frame["count"] > 20)
    artifact, processor = exported(tmp_path, estimator, frame)
    features = features_of(frame)
    rows = rows_at_thresholds(artifact, processor, features)
    assert rows is not None
    assert rows["count"].dtype == np.int64
    met = np.unique(rows["count"])
    assert {20, 21} <= set(met.tolist())


def test_texts_and_missing_numbers_do_not_hinder(tmp_path: Path) -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    random = np.random.default_rng(0)
    age = np.where(random.random(200) < 0.3, np.nan, random.uniform(0, 90, 200))
    frame = pd.DataFrame({"age": age, "town": random.choice(["Ulm", ""], 200), "empty": np.full(200, np.nan)})
    columns = make_column_transformer((SimpleImputer(), ["age"]), (OneHotEncoder(sparse_output=False), ["town"]))
    target = np.nan_to_num(age, nan=40) + 10 * (frame["town"] == "Ulm")
    estimator = make_pipeline(columns, RandomForestRegressor(5, random_state=0)).fit(frame, target)
    artifact, processor = exported(tmp_path, estimator, frame)
    features = {"age": age, "town": frame["town"].to_numpy(str), "empty": frame["empty"].to_numpy()}
    rows = rows_at_thresholds(artifact, processor, features)
    assert rows is not None
    assert np.isnan(rows["empty"]).all()
    assert rows["age"].dtype == np.float64
    assert np.isfinite(rows["age"]).all()


def test_a_graph_without_trees_has_none(tmp_path: Path) -> None:
    model = saved_onnx(tmp_path / "saved", two_inputs())
    artifact = Artifact(kind="onnx", path=model.path / "model.onnx", digest="", size_bytes=0, inputs=(), outputs=())
    assert rows_at_thresholds(artifact, Plain(), {"a": np.ones((2, 3))}) is None
    other = Artifact(kind="openvino", path=tmp_path, digest="", size_bytes=0, inputs=(), outputs=())
    assert rows_at_thresholds(other, Plain(), {"a": np.ones((2, 3))}) is None
