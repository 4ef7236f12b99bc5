"""What every runtime must do."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fdpipe import workers
from fdpipe.errors import StageError
from fdpipe.interfaces import Engine, Runtime
from tests import onnx_models


class RuntimeContract:
    """Inherit it, with a fixture `runtime`."""

    @pytest.fixture
    def engine(self, runtime: Runtime, tmp_path: Path) -> Engine:
        model = onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx"))
        return runtime.open(runtime.ready(model, tmp_path / "ready"), runtime.sessions()[0])

    def test_can_be_used_here(self, runtime: Runtime) -> None:
        runtime.check()

    def test_is_made_again_from_its_settings(self, runtime: Runtime) -> None:
        assert workers.build("runtime", workers.describe(runtime)) == runtime

    @pytest.mark.parametrize("rows", [1, 3, 64])
    def test_answers_any_number_of_rows(self, engine: Engine, rows: int) -> None:
        x = np.random.default_rng(rows).normal(size=(rows, 16)).astype(np.float32)
        answers = engine.run({"x": x})
        assert list(answers) == ["y"]
        np.testing.assert_allclose(answers["y"], onnx_models.mlp_tensors(x)["y"], rtol=1e-4, atol=1e-5)

    def test_takes_inputs_by_name(self, runtime: Runtime, tmp_path: Path) -> None:
        model = onnx_models.artifact(onnx_models.two_inputs(tmp_path / "model.onnx"))
        engine = runtime.open(runtime.ready(model, tmp_path / "ready"), runtime.sessions()[0])
        a, b = np.eye(4, dtype=np.float32), np.full((4, 2), 10, np.int64)
        wanted = np.arange(8).reshape(4, 2) + 10
        np.testing.assert_array_equal(engine.run({"b": b, "a": a})["y"], wanted)

    def test_offers_sessions_that_open(self, runtime: Runtime, tmp_path: Path) -> None:
        model = runtime.ready(onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx")), tmp_path / "ready")
        assert runtime.sessions()
        for session in runtime.sessions():
            runtime.open(model, session).close()

    def test_may_be_run_by_many_threads(self, engine: Engine) -> None:
        batches = [np.random.default_rng(seed).normal(size=(5, 16)).astype(np.float32) for seed in range(32)]
        wanted = [engine.run({"x": x})["y"] for x in batches]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda x: engine.run({"x": x})["y"], batches))
        np.testing.assert_array_equal(found, wanted)

    def test_refuses_an_unknown_setting(self, runtime: Runtime, tmp_path: Path) -> None:
        model = onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx"))
        with pytest.raises(StageError, match="nosuch"):
            runtime.open(model, {"nosuch": 1})

    def test_refuses_a_model_it_cannot_read(self, runtime: Runtime, tmp_path: Path) -> None:
        model = onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx"))
        model.path.write_bytes(b"no model")
        with pytest.raises(StageError, match=r"model\.onnx"):
            runtime.open(model, {})

    def test_refuses_rows_that_do_not_fit(self, engine: Engine) -> None:
        for batch in ({}, {"x": np.zeros((2, 3), np.float32)}, {"x": np.zeros((2, 16))}, {"z": np.zeros((2, 16), np.float32)}):
            with pytest.raises(StageError):
                engine.run(batch)

    def test_runs_nothing_once_closed(self, engine: Engine) -> None:
        engine.close()
        engine.close()
        with pytest.raises(StageError, match="closed"):
            engine.run({"x": np.zeros((1, 16), np.float32)})
