"""`fdpipe train`: a project's own training, registered and watched."""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import mlflow
import numpy as np
import pytest

from fdpipe.converter.sklearn import Sklearn
from fdpipe.dataset.mlflow import MlflowArtifact
from fdpipe.errors import ConfigError, SourceError
from fdpipe.interfaces import Processor
from fdpipe.plan import Conversion, DataPlan, Tolerance
from fdpipe.processor.none import Plain
from fdpipe.processor.tabular import Tabular
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.source.mlflow import Mlflow
from fdpipe.stages.convert import convert
from fdpipe.stages.fetch import fetch, gather, identify, resolve
from fdpipe.store import LocalStore
from fdpipe.training import Trained, train
from tests.models import new_registry

GOOD = '''
"""A training as in the guide."""
import mlflow
import numpy as np
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

from fdpipe.training import log_rows


def train():
    x = np.arange(20.0).reshape(10, 2)
    label = np.arange(10) > 4
    log_rows("evaluation", {"input": x}, label)
    model = LogisticRegression().fit(x, label)
    return mlflow.sklearn.log_model(model, name="model", signature=infer_signature(x), pip_requirements=["scikit-learn"])
'''

PROJECT = Path(__file__).parents[1]

Write = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _registry(home: Path) -> Iterator[None]:
    new_registry(home / "mlflow")
    yield
    mlflow.set_tracking_uri(None)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write `registry/tiny/train.py` in a project; the project."""

    def write(text: str) -> Path:
        folder = tmp_path / "project" / "registry" / "tiny"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "train.py").write_text(text)
        return tmp_path / "project"

    return write


def test_a_model_is_registered_with_its_rows(write: Write, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert train("tiny", write(GOOD)) == Trained(name="tiny", version="1", alias="candidate")
    ref = Mlflow().resolve("tiny@candidate")
    rows = MlflowArtifact(artifact="evaluation.npz").read(ref)
    np.testing.assert_array_equal(rows.features["input"], np.arange(20.0).reshape(10, 2))
    assert rows.labels is not None
    assert rows.labels.tolist() == [False] * 5 + [True] * 5
    assert capfd.readouterr() == ("", "")
    assert list((home / "mlflow" / "artifacts" / "tiny").rglob("MLmodel"))


def test_rows_need_no_labels(write: Write) -> None:
    train("tiny", write(GOOD.replace('{"input": x}, label)', '{"input": x})')))
    rows = MlflowArtifact(artifact="evaluation.npz").read(Mlflow().resolve("tiny@candidate"))
    assert (list(rows.features), rows.labels) == (["input"], None)


def test_again_is_the_next_version_under_any_alias(write: Write) -> None:
    project = write(GOOD)
    train("tiny", project)
    assert train("tiny", project, alias="tried") == Trained(name="tiny", version="2", alias="tried")
    assert [Mlflow().resolve(f"tiny@{alias}").version for alias in ("candidate", "tried")] == ["1", "2"]


OWN = """
import mlflow
import numpy as np
from mlflow.models import infer_signature


class Doubles(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return doubled(model_input)


def doubled(x):
    return x * 2


def train():
    x = np.ones((2, 2))
    return mlflow.pyfunc.log_model(
        name="model", python_model=Doubles(), signature=infer_signature(x, x), pip_requirements=["numpy"]
    )
"""


def test_a_class_of_its_own_can_be_loaded_without_its_file(write: Write, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train("tiny", write(OWN))
    monkeypatch.delitem(sys.modules, "registry.tiny.train")
    (found,) = (home / "mlflow" / "artifacts" / "tiny").rglob("MLmodel")
    assert mlflow.pyfunc.load_model(str(found.parent)).predict(np.ones((1, 2))).tolist() == [[2.0, 2.0]]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1\n", r"train\.py defines no train\(\)"),
        ("train = 3\n", r"train\.py defines no train\(\)"),
        ("def train():\n    return 7\n", r"train\(\) in .*train\.py returned int: return what mlflow's log_model returned"),
    ],
)
def test_a_file_that_is_no_training_is_told(write: Write, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        train("tiny", write(text))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def train():\n    raise KeyError('no\\nsuch')\n", r"train\.py:2: KeyError: 'no\\nsuch'"),
        ("import nosuchlibrary\n", r"train\.py:1: ModuleNotFoundError: No module named 'nosuchlibrary'"),
        ("def train(:\n", r"train\.py: SyntaxError: .*line 1"),
        ("import sys\n\ndef train():\n    sys.exit('no rows')\n", r"train\.py:4: SystemExit: no rows"),
        ("import numpy\n\ndef train():\n    numpy.ones(3).reshape(2)\n", r"train\.py:4: ValueError"),
    ],
)
def test_what_the_training_raises_is_one_line_with_its_place(write: Write, text: str, told: str) -> None:
    with pytest.raises(SourceError, match=told) as caught:
        train("tiny", write(text))
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_the_run_of_a_failed_training_has_ended(write: Write) -> None:
    with pytest.raises(SourceError):
        train("tiny", write("def train():\n    raise ValueError('bad')\n"))
    assert mlflow.active_run() is None
    assert train("tiny", write(GOOD)).version == "1"


def test_an_unknown_name_is_told_with_those_that_there_are(write: Write) -> None:
    with pytest.raises(ConfigError, match=r"no registry/nosuch/train\.py in .*: there is a training for tiny"):
        train("nosuch", write(GOOD))


def test_an_empty_project_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is a training for none"):
        train("tiny", tmp_path)


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "diabetes"])
def test_the_examples_train_and_their_exports_answer_alike(name: str, home: Path) -> None:
    train(name, PROJECT)
    store, source = LocalStore(home / "store"), Mlflow()
    ref = resolve(source, f"{name}@candidate")
    model = fetch(store, source, ref)
    data = DataPlan(**{role: MlflowArtifact(artifact=f"{role}.npz") for role in ("evaluation", "calibration")})
    rows = gather(store, data, ref, identify(data, ref))
    processors: Mapping[str, Processor] = {"none": Plain(), "tabular": Tabular()}
    baseline = convert(
        store, {"sklearn": Sklearn()}, processors, {"onnxruntime": OnnxRuntime()}, model, rows.evaluation, Conversion(),
        Tolerance(),
    )  # fmt: skip
    assert (baseline.parity.rows, baseline.parity.flips) == (rows.evaluation.count, 0)
    assert rows.evaluation.count >= 150
    assert rows.evaluation.labelled
    assert rows.calibration is not None
    assert rows.calibration.count >= 50


def test_a_training_is_a_module_like_any_other(write: Write) -> None:
    """Dataclasses with annotations as text look for their module."""
    more = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n\n@dataclass\nclass Size:\n    rows: int = 1\n"
    )
    assert train("tiny", write(more + GOOD)).version == "1"
