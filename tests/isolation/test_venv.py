"""A model whose framework this environment cannot be: it is converted in an environment of its own requirements."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from fdpipe.arrays import save_arrays
from fdpipe.artifacts import ModelRef, Rows, SourceModel, Task
from fdpipe.content import tree_digest
from fdpipe.converter.sklearn import Sklearn
from fdpipe.errors import ConversionError, FdpipeError
from fdpipe.isolation import opened
from fdpipe.mlmodel import describe
from fdpipe.plan import Conversion, Isolation, Tolerance
from fdpipe.processor.tabular import Tabular
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.stages.convert import convert
from fdpipe.store import LocalStore

UV = Path(sys.executable).with_name("uv")
OLD = ("scikit-learn==1.5.2", "numpy==1.26.4", "scipy==1.13.1", "cloudpickle==3.1.2")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not UV.exists(), reason="needs uv: make formats")]

TRAIN = """
import sys
import cloudpickle
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier

features, labels = load_breast_cancer(return_X_y=True, as_frame=True)
model = GradientBoostingClassifier(n_estimators=20, random_state=0).fit(features[::2], labels[::2])
with open(sys.argv[1], "wb") as stream:
    cloudpickle.dump(model, stream)
"""

MLMODEL = """
flavors:
  sklearn:
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.5.2
signature:
  inputs: '[{columns}]'
  outputs: null
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a model that was trained and registered years ago."""
    root = tmp_path_factory.mktemp("old")
    python = root / "environment" / "bin" / "python"
    subprocess.run([UV, "venv", "-q", "--python", sys.executable, root / "environment"], check=True)
    subprocess.run([UV, "pip", "install", "-q", "--python", python, "pandas<3", *OLD], check=True)
    model = root / "model"
    model.mkdir()
    subprocess.run([python, "-I", "-c", TRAIN, model / "model.pkl"], check=True)
    names = load_breast_cancer().feature_names
    columns = ", ".join(f'{{"type": "double", "name": "{name}", "required": true}}' for name in names)
    (model / "MLmodel").write_text(MLMODEL.format(columns=columns))
    (model / "requirements.txt").write_text("\n".join(["mlflow==2.16.2", *OLD, ""]))
    (model / "python_env.yaml").write_text(f"python: {'.'.join(map(str, sys.version_info[:3]))}\ndependencies: []\n")
    return model


@pytest.fixture
def source(folder: Path) -> SourceModel:
    ref = ModelRef(name="old", version="1", uri="models:/old/1", digest=tree_digest(folder))
    return replace(describe(ref, folder), trusted=True)


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    features, labels = load_breast_cancer(return_X_y=True, as_frame=True)
    arrays = {str(name): features[name].to_numpy()[1::2] for name in features}
    digest = save_arrays(tmp_path / "rows.npz", arrays)
    return Rows(role="evaluation", path=tmp_path / "rows.npz", digest=digest, count=len(labels[1::2]), labelled=False)


def test_it_cannot_be_loaded_here(source: SourceModel, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    with pytest.raises(FdpipeError), opened(Sklearn(), source, Conversion(), tmp_path / "scratch"):
        pass


def test_it_is_converted_in_its_own_environment(source: SourceModel, rows: Rows, tmp_path: Path, home: Path) -> None:
    how = Conversion(isolation=Isolation.VENV)
    store = LocalStore(tmp_path / "store")
    workers = {"sklearn": Sklearn()}, {"tabular": Tabular()}, {"onnxruntime": OnnxRuntime()}
    baseline = convert(store, *workers, source, rows, how, Tolerance())
    assert baseline.task is Task.CLASSIFICATION
    assert (baseline.parity.rows, baseline.parity.flips) == (rows.count, 0)
    assert len(np.unique(baseline.reference.load()["label"])) == 2
    assert len(list((home / "environments").glob("*/env-*"))) == 1


def test_the_versions_are_its_own(source: SourceModel, tmp_path: Path, home: Path) -> None:
    (tmp_path / "scratch").mkdir()
    assert home
    with opened(Sklearn(), source, Conversion(isolation=Isolation.VENV), tmp_path / "scratch") as original:
        assert original.versions["scikit-learn"] == "1.5.2"


def test_it_is_not_converted_unless_it_is_trusted(source: SourceModel, tmp_path: Path, home: Path) -> None:
    refused = pytest.raises(ConversionError, match=r"source.trust=old")
    with refused, opened(Sklearn(), replace(source, trusted=False), Conversion(isolation=Isolation.VENV), tmp_path):
        pass
    assert not (home / "environments").exists()
