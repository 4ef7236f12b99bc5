"""A runtime that chooses by the number of rows in a call."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from fdpipe.artifacts import Artifact
from fdpipe.errors import StageError
from fdpipe.interfaces import Engine, Session
from fdpipe.runtime.by_rows import ByRows, ByRowsEngine
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.stages.combine import Part, combine
from fdpipe.store import LocalStore
from tests import onnx_models
from tests.contracts.runtime import RuntimeContract
from tests.contracts.settings import built

X = np.random.default_rng(0).normal(size=(64, 16)).astype(np.float32)


def combined(folder: Path, model: Artifact, parts: Sequence[tuple[int, Artifact, Session]]) -> Artifact:
    """Parts of ONNX Runtime's."""
    made = tuple(Part(rows=rows, runtime=OnnxRuntime(), session=session, artifact=one) for rows, one, session in parts)
    return combine(LocalStore(folder / "store"), made, model)


def alone(model: Artifact, folder: Path) -> Artifact:
    """The same model in a folder where nothing else is."""
    (folder / "alone").mkdir()
    return replace(model, path=Path(shutil.copy(model.path, folder / "alone")))


class TestByRows(RuntimeContract):
    @pytest.fixture
    def runtime(self) -> ByRows:
        return ByRows()

    def given(self, model: Artifact, folder: Path) -> Artifact:
        """The model in one session for less than 16 rows, in another from there on."""
        model = alone(model, folder)
        return combined(folder, model, [(1, model, {"threads": 1}), (16, model, {"graph_level": "basic", "threads": 1})])

    def test_answers_no_rows_at_all(self, engine: Engine) -> None:
        assert engine.run({"x": X[:0]})["y"].shape == (0, 10)


def shifted(folder: Path, by: float) -> Artifact:
    """y = x + by, to be told from others by its answer."""
    nodes = [helper.make_node("Add", ["x", "by"], ["y"])]
    inputs = [onnx_models.value("x", onnx_models.FLOAT, "rows", 1)]
    outputs = [onnx_models.value("y", onnx_models.FLOAT, "rows", 1)]
    path = onnx_models.save(folder / f"{by}" / "model.onnx", nodes, inputs, outputs, {"by": np.array([by], np.float32)})
    return onnx_models.artifact(path)


def test_each_number_of_rows_is_answered_by_its_part(tmp_path: Path) -> None:
    models = {rows: shifted(tmp_path, rows) for rows in (1, 8, 32)}
    artifact = combined(tmp_path, models[1], [(rows, model, {}) for rows, model in models.items()])
    engine = ByRows().open(artifact, {})
    for rows, wanted in ((1, 1), (7, 1), (8, 8), (31, 8), (32, 32), (1000, 32)):
        found = engine.run({"x": np.zeros((rows, 1), np.float32)})["y"]
        assert (found.shape, set(found.ravel().tolist())) == ((rows, 1), {wanted})
    engine.close()
    for rows in (1, 8, 32):
        with pytest.raises(StageError, match="closed"):
            engine.run({"x": np.zeros((rows, 1), np.float32)})


def test_equal_parts_are_opened_once(tmp_path: Path) -> None:
    model = onnx_models.artifact(onnx_models.mlp(tmp_path / "plain" / "model.onnx"))
    other = {"threads": 1}
    parts = [(1, model, other), (8, model, {}), (32, model, other)]
    engine = ByRows().open(combined(tmp_path, model, parts), {})
    assert isinstance(engine, ByRowsEngine)
    first, second, third = engine._engines
    assert first is third is not second


def test_threads_are_for_the_parts_that_do_not_say_how_many(tmp_path: Path) -> None:
    model = onnx_models.artifact(onnx_models.mlp(tmp_path / "plain" / "model.onnx"))
    artifact = combined(tmp_path, model, [(1, model, {}), (8, model, {"threads": 2})])
    engine: Any = ByRows().open(artifact, {"threads": 1})
    found = [one._session.get_session_options().intra_op_num_threads for one in engine._engines]
    assert found == [1, 2]


def damage(folder: Path) -> None:
    """The second model is none."""
    (folder / "model_2" / "model.onnx").write_bytes(b"no model")


def lose(folder: Path) -> None:
    """The second model is not there."""
    (folder / "model_2" / "model.onnx").unlink()


@pytest.mark.parametrize("harm", [damage, lose])
def test_a_part_that_cannot_be_opened_is_told(harm: Callable[[Path], None], tmp_path: Path) -> None:
    artifact = combined(tmp_path, shifted(tmp_path, 1), [(rows, shifted(tmp_path, rows), {}) for rows in (1, 8)])
    artifact.folder.chmod(0o755)
    harm(artifact.folder)
    with pytest.raises(StageError, match=r"onnxruntime cannot open model\.onnx"):
        ByRows().open(artifact, {})


def test_opens_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"by_rows opens parts, not onnx: model\.onnx"):
        ByRows().open(shifted(tmp_path, 1), {})
    with pytest.raises(StageError, match="by_rows knows no session setting 'graph_level': it has threads"):
        ByRows().open(shifted(tmp_path, 1), {"graph_level": "all"})


def test_needs_no_library_of_its_own() -> None:
    code = (
        "import sys, fdpipe.runtime.by_rows as r; r.ByRows().check();"
        "heavy = {'onnxruntime', 'openvino', 'xgboost', 'sklearn', 'mlflow', 'fdpipe.store', 'fdpipe.runtime.onnxruntime'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_its_file_builds() -> None:
    assert built("runtime", "by_rows") == ByRows()
