"""The original itself, in a process of its own."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from mlflow.models import infer_signature

from fdpipe import workers
from fdpipe.artifacts import Artifact, TensorSpec
from fdpipe.content import tree_digest
from fdpipe.errors import OriginalLost, StageError
from fdpipe.interfaces import Engine
from fdpipe.runtime.pyfunc import Pyfunc
from tests.contracts.settings import built

FRAME = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [0.5, 0.25, np.nan]})
BATCH = {name: FRAME[name].to_numpy().reshape(-1, 1) for name in ("a", "b")}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A model of the user's own, which sums its columns and ends its process for a sum of 99."""
    import mlflow.pyfunc

    class Sum(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, context: object, model_input: pd.DataFrame, params: object = None) -> np.ndarray:
            found: np.ndarray = model_input.sum(axis=1).to_numpy()
            if 99 in found:
                os.kill(os.getpid(), signal.SIGSEGV)
            if -99 in found:
                raise ValueError("no such sum\nanother line")
            return found

    folder = tmp_path_factory.mktemp("pyfunc") / "model"
    signature = infer_signature(FRAME, Sum().predict(None, FRAME))
    mlflow.pyfunc.save_model(str(folder), python_model=Sum(), signature=signature, pip_requirements=["pandas"])
    inputs = tuple(TensorSpec(name=name, dtype="float64", shape=("rows", 1)) for name in "ab")
    return Artifact(kind="mlflow", path=folder, digest=tree_digest(folder), size_bytes=1, inputs=inputs, outputs=())


@pytest.fixture
def engine(artifact: Artifact) -> Iterator[Engine]:
    opened = Pyfunc().open(artifact, {"threads": 1})
    yield opened
    opened.close()


def test_its_file_is_the_default() -> None:
    assert built("runtime", "pyfunc") == Pyfunc() == workers.build("runtime", workers.describe(Pyfunc()))


def test_can_be_used_here_and_opens_it_as_it_is(artifact: Artifact, tmp_path: Path) -> None:
    Pyfunc().check()
    assert Pyfunc().ready(artifact, tmp_path) is artifact
    assert Pyfunc().sessions() == ({},)


def test_answers_as_the_model_does(engine: Engine) -> None:
    np.testing.assert_array_equal(engine.run(BATCH)["value"], [[1.5], [2.25], [3.0]])


def test_may_be_asked_by_many_threads(engine: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: engine.run({"a": np.full((2, 1), n), "b": np.ones((2, 1))})["value"][0, 0], range(20)))
    assert found == [n + 1 for n in range(20)]


def test_rows_that_it_refuses_are_told_in_one_line(engine: Engine) -> None:
    with pytest.raises(StageError, match="no such sum") as caught:
        engine.run({"a": np.full((1, 1), -100.0), "b": np.ones((1, 1))})
    assert "\n" not in str(caught.value)
    assert engine.run(BATCH)["value"][0, 0] == 1.5


def test_a_crash_is_told_and_the_next_call_is_answered(engine: Engine) -> None:
    with pytest.raises(OriginalLost, match="SIGSEGV"):
        engine.run({"a": np.full((1, 1), 98.0), "b": np.ones((1, 1))})
    assert engine.run(BATCH)["value"][0, 0] == 1.5


def test_a_process_that_has_died_between_two_calls_is_started_again(artifact: Artifact) -> None:
    before, others = set(psutil.Process().children()), set(psutil.Process().children(recursive=True))
    engine = Pyfunc().open(artifact, {})
    (keeper,) = set(psutil.Process().children()) - before
    keeper.children(recursive=True)[-1].kill()
    os.waitid(os.P_PID, keeper.pid, os.WEXITED | os.WNOWAIT)
    assert engine.run(BATCH)["value"][0, 0] == 1.5
    engine.close()
    assert not set(psutil.Process().children(recursive=True)) - others


def test_its_process_ends_with_it(artifact: Artifact) -> None:
    before = set(psutil.Process().children(recursive=True))
    engine = Pyfunc().open(artifact, {})
    assert set(psutil.Process().children(recursive=True)) - before
    engine.close()
    engine.close()
    assert not set(psutil.Process().children(recursive=True)) - before
    with pytest.raises(StageError, match="closed"):
        engine.run(BATCH)


def test_opens_nothing_else(artifact: Artifact) -> None:
    with pytest.raises(StageError, match="not onnx"):
        Pyfunc().open(replace(artifact, kind="onnx"), {})
    with pytest.raises(StageError, match="no session setting 'nosuch'"):
        Pyfunc().open(artifact, {"nosuch": 1})
