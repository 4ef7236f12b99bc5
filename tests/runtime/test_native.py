"""Models asked by their own libraries: they answer as their exports do."""

import importlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdpipe.artifacts import Artifact
from fdpipe.content import tree_digest
from fdpipe.errors import MissingExtra, StageError
from fdpipe.interfaces import Engine, Runtime, Session
from fdpipe.libraries import xgboost as xgboost_library
from fdpipe.libraries._xgboost_rows import MARGIN, VALUE, asking
from fdpipe.runtime.native import NativeLibrary
from tests.contracts.runtime import RuntimeContract
from tests.contracts.settings import built
from tests.native_models import both, columns, data, exported_answers

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("xgboost", "lightgbm", "catboost")),
    reason="the boosting libraries are not installed",
)


SMALL: dict[str, dict[str, Any]] = {
    "xgboost": {"n_estimators": 8, "n_jobs": 1},
    "lightgbm": {"n_estimators": 8, "n_jobs": 1, "verbose": -1},
    "catboost": {"iterations": 8, "thread_count": 1, "verbose": False, "allow_writing_files": False},
}


def grown(library: str, kind: str, classes: int = 2, **settings: Any) -> Any:  # noqa: ANN401 - of any library
    """A small model of the class."""
    module = importlib.import_module(library)
    x, y = data(classes)
    return getattr(module, kind)(**SMALL[library] | settings).fit(x, y)


def booster(objective: str, classes: int, **settings: Any) -> Any:  # noqa: ANN401 - XGBoost's own
    """A model of XGBoost's own API."""
    import xgboost

    x, y = data(classes)
    more = {"num_class": classes} if objective.startswith("multi") else {}
    return xgboost.train({"objective": objective, **more, **settings}, xgboost.DMatrix(x, y), num_boost_round=8)


def sklearn_model(kind: str, classes: int = 2, named: bool = False, **settings: Any) -> Any:  # noqa: ANN401 - an estimator
    """An estimator that was fitted on rows, or on a data frame."""
    from sklearn import ensemble, linear_model, pipeline, preprocessing

    made = next(getattr(room, kind) for room in (ensemble, linear_model) if hasattr(room, kind))(**settings)
    x, y = data(classes)
    return pipeline.make_pipeline(preprocessing.StandardScaler(), made).fit(columns() if named else x, y)


MODELS: dict[str, Callable[[], Any]] = {
    "xgboost classifier": lambda: grown("xgboost", "XGBClassifier"),
    "xgboost classifier of three": lambda: grown("xgboost", "XGBClassifier", 3),
    "xgboost regressor": lambda: grown("xgboost", "XGBRegressor", 0),
    "xgboost with dropout": lambda: grown("xgboost", "XGBRegressor", 0, booster="dart", rate_drop=0.3),
    "xgboost linear": lambda: grown("xgboost", "XGBRegressor", 0, booster="gblinear"),
    "xgboost booster": lambda: booster("binary:logistic", 2),
    "xgboost booster of labels": lambda: booster("multi:softmax", 3),
    "lightgbm classifier": lambda: grown("lightgbm", "LGBMClassifier"),
    "lightgbm classifier of three": lambda: grown("lightgbm", "LGBMClassifier", 3),
    "lightgbm regressor": lambda: grown("lightgbm", "LGBMRegressor", 0),
    "lightgbm booster": lambda: grown("lightgbm", "LGBMClassifier", 3).booster_,
    "catboost classifier": lambda: grown("catboost", "CatBoostClassifier"),
    "catboost classifier of three": lambda: grown("catboost", "CatBoostClassifier", 3),
    "catboost regressor": lambda: grown("catboost", "CatBoostRegressor", 0),
    "random forest": lambda: sklearn_model("RandomForestClassifier", 3, n_estimators=8),
    "gradient boosting": lambda: sklearn_model("GradientBoostingClassifier", n_estimators=8),
    "gradient boosting of three": lambda: sklearn_model("GradientBoostingClassifier", 3, n_estimators=8),
    "histogram boosting": lambda: sklearn_model("HistGradientBoostingClassifier", max_iter=8),
    "histogram regressor": lambda: sklearn_model("HistGradientBoostingRegressor", 0, max_iter=8),
    "logistic regression": lambda: sklearn_model("LogisticRegression", 3),
    "linear regression": lambda: sklearn_model("LinearRegression", 0),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Artifact, Artifact]]:
    """Each of the models as ONNX and itself, made once."""

    @cache
    def make(name: str) -> tuple[Artifact, Artifact]:
        return both(tmp_path_factory.mktemp(name.replace(" ", "_")), MODELS[name]())

    return make


Made = Callable[[str], tuple[Artifact, Artifact]]


def copied(model: Artifact, folder: Path) -> Artifact:
    """The same model elsewhere."""
    shutil.copytree(model.folder, folder / "model")
    return replace(model, path=folder / "model" / model.path.name)


class TestNativeLibrary(RuntimeContract):
    @pytest.fixture
    def runtime(self) -> NativeLibrary:
        return NativeLibrary()

    @pytest.fixture(autouse=True)
    def of_a_regressor(self, made: Made) -> None:
        self.baseline, self.model = made("xgboost regressor")

    def example(self, folder: Path) -> Artifact:
        """A copy, whose only input is called `x`."""
        return replace(copied(self.model, folder), inputs=(replace(self.model.inputs[0], name="x"),))

    def answers(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Its export's."""
        return exported_answers(self.baseline, {self.baseline.inputs[0].name: x})

    def test_takes_inputs_by_name(self, runtime: Runtime, tmp_path: Path) -> None:
        """It has only one."""
        x = data()[0]
        engine = runtime.open(self.example(tmp_path), {})
        with pytest.raises(StageError, match="the model has the one input 'x', got x, y"):
            engine.run({"x": x, "y": x})

    def test_answers_no_rows_at_all(self, engine: Engine) -> None:
        found = engine.run({"x": data()[0][:0]})["value"]
        assert found.shape == (0, 1)
        assert found.dtype == np.float32

    def test_takes_rows_that_lie_otherwise_in_memory(self, engine: Engine) -> None:
        x = data()[0]
        np.testing.assert_array_equal(engine.run({"x": np.asfortranarray(x)})["value"], engine.run({"x": x})["value"])


@pytest.mark.parametrize("name", MODELS)
def test_it_answers_as_its_export_does(name: str, made: Made) -> None:
    """Names, types, shapes; every label; probabilities and values as the certificate demands. At all batch sizes."""
    baseline, model = made(name)
    engine = NativeLibrary().open(model, {"threads": 1})
    random = np.random.default_rng(1)
    for rows in (1, 3, 64, 719):
        batch = {baseline.inputs[0].name: random.normal(size=(rows, 16)).astype(np.float32)}
        ours, theirs = engine.run(batch), exported_answers(baseline, batch)
        assert list(ours) == list(theirs)
        for output, array in theirs.items():
            assert (ours[output].dtype, ours[output].shape) == (array.dtype, array.shape)
            if array.dtype.kind == "f":
                np.testing.assert_allclose(ours[output], array, rtol=1e-4, atol=1e-5)
            else:
                np.testing.assert_array_equal(ours[output], array)


def test_labels_that_are_words(tmp_path: Path) -> None:
    from lightgbm import LGBMClassifier

    x, y = data()
    words = np.array(["no", "yes"])[y]
    baseline, model = both(tmp_path, LGBMClassifier(n_estimators=4, verbose=-1).fit(x, words))
    batch = {baseline.inputs[0].name: x[:9]}
    ours, theirs = NativeLibrary().open(model, {}).run(batch), exported_answers(baseline, batch)
    assert ours["label"].dtype == theirs["label"].dtype == object
    assert ours["label"].tolist() == theirs["label"].tolist()


@pytest.mark.filterwarnings("error")
def test_columns_are_taken_in_order_without_a_word(tmp_path: Path) -> None:
    """scikit-learn would warn at each call that the array has no names of columns."""
    baseline, model = both(tmp_path, sklearn_model("RandomForestClassifier", named=True, n_estimators=4), columns())
    batch = {baseline.inputs[0].name: data()[0][:5]}
    found = NativeLibrary().open(model, {}).run(batch)
    np.testing.assert_array_equal(found["label"], exported_answers(baseline, batch)["label"])


def test_only_the_best_iterations_are_asked(tmp_path: Path) -> None:
    from xgboost import XGBRegressor

    x, y = data(0)
    estimator = XGBRegressor(n_estimators=200, learning_rate=1.0, early_stopping_rounds=2)
    estimator.fit(x[:200], y[:200], eval_set=[(x[200:], y[200:])], verbose=False)
    assert estimator.best_iteration + 1 < estimator.get_booster().num_boosted_rounds()
    baseline, model = both(tmp_path, estimator)
    found = NativeLibrary().open(model, {}).run({baseline.inputs[0].name: x})["value"]
    np.testing.assert_allclose(found[:, 0], estimator.predict(x), rtol=1e-6)


THREADS = """
import os, pickle, sys
from pathlib import Path
import numpy as np
from fdpipe.runtime.native import NativeLibrary

def threads_after(threads):
    NativeLibrary().open(model, {"threads": threads}).run({model.inputs[0].name: np.ones((5000, 16), np.float32)})
    return len(os.listdir("/proc/self/task"))

model = pickle.loads(Path(sys.argv[1]).read_bytes())
print(threads_after(1), threads_after(1), threads_after(3))
"""


@pytest.mark.parametrize("name", ["lightgbm regressor", "histogram regressor"])
def test_a_call_takes_as_many_threads_as_the_session_says(name: str, made: Made, tmp_path: Path) -> None:
    """Those of a process of its own, in which the pools of the libraries show."""
    _, model = made(name)
    (tmp_path / "artifact").write_bytes(pickle.dumps(model))
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", THREADS, str(tmp_path / "artifact")], capture_output=True, text=True, check=True, env=environment
    )
    first, again, more = map(int, done.stdout.split())
    assert first == again < more


OVERLAPPING = """
import pickle, sys, threading
from pathlib import Path
import numpy as np
import psutil
from threadpoolctl import threadpool_info
from fdpipe.libraries._threads import bounded
from fdpipe.runtime.native import NativeLibrary

def blas():
    return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

model = pickle.loads(Path(sys.argv[1]).read_bytes())
NativeLibrary().open(model, {"threads": 2}).run({model.inputs[0].name: np.ones((64, 16), np.float32)})
print(len(psutil.Process().children(recursive=True)))
before, first, second = blas(), bounded(1)(), bounded(1)()
first.__enter__()
second.__enter__()
first.__exit__(None, None, None)
print(set(blas()) == {1})
second.__exit__(None, None, None)
print(blas() == before)
"""


def test_calls_start_no_process_and_lift_no_others_limit(tmp_path: Path) -> None:
    """Bagging would start some, by joblib."""
    from sklearn.ensemble import BaggingClassifier
    from sklearn.linear_model import LogisticRegression

    _, model = both(tmp_path, BaggingClassifier(LogisticRegression(), n_estimators=4).fit(*data()))
    (tmp_path / "artifact").write_bytes(pickle.dumps(model))
    command = [sys.executable, "-c", OVERLAPPING, str(tmp_path / "artifact")]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["0", "True", "True"]


def test_xgboost_itself_is_told_the_number_of_threads(made: Made) -> None:
    """It starts its pool when it loads a file, so that none shows."""
    _, model = made("xgboost regressor")
    booster = xgboost_library.bounded(model.folder / "model.ubj", 1)
    assert json.loads(booster.save_config())["learner"]["generic_param"]["nthread"] == "1"


@pytest.mark.parametrize("objective", ["multi:softprob", "reg:squarederror"])
def test_xgboosts_c_function_gives_what_its_python_gives(objective: str) -> None:
    """Of some or all iterations, values and sums of leaves, missing values among the rows."""
    found = booster(objective, 3 if objective.startswith("multi") else 0)
    x = data()[0].copy()
    x[::3, 1] = np.nan
    for used in ((0, 0), (0, 3)):
        for number, word in ((VALUE, "value"), (MARGIN, "margin")):
            wanted = found.inplace_predict(x, iteration_range=used, predict_type=word)
            np.testing.assert_array_equal(asking(found, used, number)(x), wanted)
    with pytest.raises(ValueError, match=r"(?i)columns|features"):
        asking(found, (0, 0), VALUE)(x[:, :3].copy())


@pytest.mark.parametrize("name", ["lightgbm classifier", "catboost classifier", "random forest", "xgboost linear"])
def test_each_library_may_be_asked_by_many_threads(name: str, made: Made) -> None:
    baseline, model = made(name)
    engine = NativeLibrary().open(model, {"threads": 1})
    batches = [{baseline.inputs[0].name: data()[0][start : start + 5]} for start in range(0, 160, 5)]
    wanted = [engine.run(batch) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(engine.run, batches))
    for ours, theirs in zip(found, wanted, strict=True):
        for output, array in theirs.items():
            np.testing.assert_array_equal(ours[output], array)


def test_rows_that_the_library_refuses_are_told_in_one_line(made: Made) -> None:
    baseline, model = made("gradient boosting")
    with pytest.raises(StageError, match=r"the library cannot run the model: .*NaN") as caught:
        NativeLibrary().open(model, {}).run({baseline.inputs[0].name: np.full((2, 16), np.nan, np.float32)})
    assert "\n" not in str(caught.value)


def test_a_library_that_is_not_installed_is_named(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    _, model = made("lightgbm regressor")
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    NativeLibrary().check()
    with pytest.raises(MissingExtra, match=r"lightgbm .* pip install 'fdpipe\[lightgbm\]'"):
        NativeLibrary().open(model, {})


@pytest.mark.parametrize("name", ["xgboost regressor", "lightgbm regressor", "catboost regressor", "linear regression"])
def test_a_damaged_model_is_one_line(name: str, made: Made, tmp_path: Path) -> None:
    model = copied(made(name)[1], tmp_path)
    (other,) = (path for path in model.folder.iterdir() if path != model.path)
    other.write_bytes(b"no model")
    with pytest.raises(StageError, match=rf"cannot load {other.name}") as caught:
        NativeLibrary().open(model, {})
    assert "\n" not in str(caught.value)


def test_opens_nothing_else(made: Made, tmp_path: Path) -> None:
    baseline, _ = made("xgboost regressor")
    with pytest.raises(StageError, match=r"native opens native, not onnx: model\.onnx"):
        NativeLibrary().open(baseline, {})
    other = tmp_path / "native.json"
    other.write_text('{"library": "nosuch", "file": "x"}')
    wrong = replace(baseline, kind="native", path=other, digest=tree_digest(other))
    with pytest.raises(StageError, match="names the library 'nosuch': there are xgboost, lightgbm, catboost, sklearn"):
        NativeLibrary().open(wrong, {})


@pytest.mark.parametrize("session", [{"threads": "1"}, {"threads": -1}, {"threads": True}])
def test_wrong_settings_are_told(session: Session, made: Made) -> None:
    _, model = made("xgboost regressor")
    with pytest.raises(StageError, match="threads must be a whole number and not negative"):
        NativeLibrary().open(model, session)


def test_needs_no_library_until_a_model_is_opened() -> None:
    code = (
        "import sys, fdpipe.runtime.native as r; r.NativeLibrary().check();"
        "heavy = {'xgboost', 'lightgbm', 'catboost', 'sklearn', 'skops', 'pandas', 'onnx', 'mlflow', 'fdpipe.store'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_its_file_builds() -> None:
    assert built("runtime", "native") == NativeLibrary()
