"""The registered model itself, beside what it was converted to."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from fdpipe.artifacts import Artifact, SourceModel, TensorSpec
from fdpipe.content import file_digest, tree_digest
from fdpipe.errors import MissingExtra, NotApplicable
from fdpipe.mlmodel import describe, flavour_file
from fdpipe.stages.original import original
from fdpipe.store import LocalStore
from tests.models import people, people_model, saved_onnx, saved_sklearn, two_inputs
from tests.native_models import converted, data, registered

X, Y = data()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    return LocalStore(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[SourceModel, Artifact]:
    """A registered model, and what it was converted to."""
    folder = tmp_path_factory.mktemp("registered")
    model = registered(folder / "model", LogisticRegression().fit(X, Y))
    return model, converted(model, folder / "onnx")


def test_it_is_the_very_file_with_the_exports_inputs_and_outputs(pair: tuple[SourceModel, Artifact], store: LocalStore) -> None:
    model, baseline = pair
    found = original(store, model, baseline)
    assert (found.kind, found.inputs, found.outputs) == ("native", baseline.inputs, baseline.outputs)
    assert found.path.name == "native.json"
    assert sorted(path.name for path in found.folder.iterdir()) == ["model.skops", "native.json"]
    assert file_digest(found.folder / "model.skops") == file_digest(model.path / "model.skops")
    assert found.digest == tree_digest(found.folder)
    assert found.size_bytes == sum(path.stat().st_size for path in found.folder.iterdir())


def test_it_is_made_once(pair: tuple[SourceModel, Artifact], store: LocalStore) -> None:
    original(store, *pair)
    assert original.is_stored(store, *pair)


@pytest.mark.parametrize("library", ["xgboost", "catboost"])
def test_a_file_of_a_boosters_own_is_copied(library: str, tmp_path: Path, store: LocalStore) -> None:
    module = pytest.importorskip(library)
    estimator = module.XGBRegressor(n_estimators=2) if library == "xgboost" else module.CatBoostRegressor(
        iterations=2, verbose=False, allow_writing_files=False
    )  # fmt: skip
    model = registered(tmp_path / "model", estimator.fit(X, X[:, 0]))
    found = original(store, model, converted(model, tmp_path / "onnx"))
    named = json.loads(found.path.read_bytes())
    assert named["library"] == library
    assert file_digest(found.folder / named["file"]) == file_digest(flavour_file(model.path, "data"))


def test_a_lightgbm_estimator_is_kept_as_text_which_needs_lightgbm_alone(tmp_path: Path, store: LocalStore) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    estimator = lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(X, np.array(["a", "b"])[Y])
    model = registered(tmp_path / "model", estimator)
    found = original(store, model, converted(model, tmp_path / "onnx"))
    assert json.loads(found.path.read_bytes()) == {
        "library": "lightgbm", "file": "model.txt", "kind": "skops", "classes": ["a", "b"],
    }  # fmt: skip
    assert (found.folder / "model.txt").read_text().startswith("tree\n")


def pickled(folder: Path) -> tuple[SourceModel, Artifact]:
    """A pickle, which is never loaded here."""
    model = saved_sklearn(folder / "model", LinearRegression().fit(X, X[:, 0]), X, serialization_format="cloudpickle")
    (path,) = (path for path in model.path.iterdir() if path.suffix == ".pkl")
    baseline = converted(saved_sklearn(folder / "other", LinearRegression().fit(X, X[:, 0]), X), folder / "onnx")
    path.write_bytes(b"\x80\x04cnowhere\nto_be_found\n)R.")
    return replace(model, trusted=True), baseline


def of_columns(folder: Path) -> tuple[SourceModel, Artifact]:
    """A pipeline that takes its columns by name, text among them."""
    frame, label = people()
    model = saved_sklearn(folder / "model", people_model(frame, label), frame.astype({"children": float}))
    return model, converted(model, folder / "onnx")


def of_no_library(folder: Path) -> tuple[SourceModel, Artifact]:
    """ONNX to begin with."""
    return saved_onnx(folder / "model", two_inputs()), replace(plain(folder), kind="onnx")


def plain(folder: Path) -> Artifact:
    """A linear regression's export."""
    return converted(saved_sklearn(folder / "plain", LinearRegression().fit(X, X[:, 0]), X), folder / "plain_onnx")


def served_as_it_is(folder: Path) -> tuple[SourceModel, Artifact]:
    """Not converted to ONNX."""
    model = saved_sklearn(folder / "model", LinearRegression().fit(X, X[:, 0]), X)
    return model, replace(plain(folder), kind="mlflow")


def of_text(folder: Path) -> tuple[SourceModel, Artifact]:
    model, baseline = served_as_it_is(folder)
    return model, replace(baseline, kind="onnx", inputs=(TensorSpec(name="x", dtype="string", shape=("rows", 1)),))


def with_other_answers(folder: Path) -> tuple[SourceModel, Artifact]:
    model, baseline = served_as_it_is(folder)
    return model, replace(baseline, kind="onnx", outputs=(TensorSpec(name="y", dtype="float32", shape=("rows", 1)),))


def with_answers_in_words(folder: Path) -> tuple[SourceModel, Artifact]:
    model, baseline = served_as_it_is(folder)
    return model, replace(baseline, kind="onnx", outputs=(TensorSpec(name="value", dtype="string", shape=("rows", 1)),))


def of_other_rows(folder: Path) -> tuple[SourceModel, Artifact]:
    model, baseline = served_as_it_is(folder)
    return model, replace(baseline, kind="onnx", inputs=(TensorSpec(name="x", dtype="float32", shape=("rows", 3)),))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (pickled, "is in a cloudpickle file, which would run code: log it as skops"),
        (of_columns, "takes 3 tensors: its library is asked with one"),
        (of_no_library, "no library is asked for a onnx model: there are xgboost, lightgbm, catboost, sklearn"),
        (served_as_it_is, "was not converted to ONNX but to mlflow"),
        (of_text, r"takes string of shape \('rows', 1\): it must be a table of numbers"),
        (with_other_answers, "its library has no answer 'y', which its export has"),
        (with_answers_in_words, "its library answers 'value' as float32, its export as string"),
        (of_other_rows, "its library cannot answer a table of numbers: .*3 features"),
    ],
)
def test_what_cannot_be_asked_is_told(
    make: Callable[[Path], tuple[SourceModel, Artifact]], told: str, tmp_path: Path, store: LocalStore
) -> None:
    model, baseline = make(tmp_path)
    with pytest.raises(NotApplicable, match=told) as caught:
        original(store, model, baseline)
    assert "\n" not in str(caught.value)


def test_a_library_that_is_not_installed_is_named(tmp_path: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    xgboost = pytest.importorskip("xgboost")
    model = registered(tmp_path / "model", xgboost.XGBRegressor(n_estimators=2).fit(X, X[:, 0]))
    baseline = converted(model, tmp_path / "onnx")
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(MissingExtra, match=r"pip install 'fdpipe\[xgboost\]'"):
        original(store, model, baseline)


def test_a_skops_file_that_names_what_no_estimator_is_made_of(tmp_path: Path, store: LocalStore) -> None:
    """As where it is converted: refused by its words, before anything of it is made."""
    import skops.io

    model = saved_sklearn(tmp_path / "model", LinearRegression().fit(X, X[:, 0]), X)
    baseline = converted(model, tmp_path / "onnx")
    harmful: Any = LinearRegression().fit(X, X[:, 0])
    harmful.coef_ = Harmful()
    skops.io.dump(harmful, model.path / "model.skops")
    with pytest.raises(Exception, match="which no estimator of scikit-learn's is made of: refused"):
        original(store, describe(model.ref, model.path), baseline)


class Harmful:
    """Of no library."""

    def __init__(self) -> None:
        self.value = 1
