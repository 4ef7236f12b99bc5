"""What every runtime must do."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fdpipe import workers
from fdpipe.artifacts import Artifact
from fdpipe.errors import StageError
from fdpipe.interfaces import Engine, Profiler, Runtime
from tests import onnx_models


class RuntimeContract:
    """Inherit it, with a fixture `runtime`; one that does not open ONNX has an `example` of its own, with what it `answers`."""

    def example(self, folder: Path) -> Artifact:
        """A model of one input `x`, float32 of shape (rows, 16), as the runtime is given it."""
        return self.given(onnx_models.artifact(onnx_models.mlp(folder / "model.onnx")), folder)

    def answers(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """What the example answers."""
        return {"y": onnx_models.mlp_tensors(x)["y"]}

    def given(self, model: Artifact, folder: Path) -> Artifact:
        """The ONNX model in the form in which `ready` is given it."""
        return model

    @pytest.fixture
    def engine(self, runtime: Runtime, tmp_path: Path) -> Engine:
        return runtime.open(runtime.ready(self.example(tmp_path), tmp_path / "ready"), runtime.sessions()[0])

    def test_can_be_used_here(self, runtime: Runtime) -> None:
        runtime.check()

    def test_is_made_again_from_its_settings(self, runtime: Runtime) -> None:
        assert workers.build("runtime", workers.describe(runtime)) == runtime

    @pytest.mark.parametrize("rows", [1, 3, 64])
    def test_answers_any_number_of_rows(self, engine: Engine, rows: int) -> None:
        x = np.random.default_rng(rows).normal(size=(rows, 16)).astype(np.float32)
        answers, wanted = engine.run({"x": x}), self.answers(x)
        assert list(answers) == list(wanted)
        for name, array in wanted.items():
            assert answers[name].dtype == array.dtype
            np.testing.assert_allclose(answers[name], array, rtol=1e-4, atol=1e-5)

    def test_takes_inputs_by_name(self, runtime: Runtime, tmp_path: Path) -> None:
        model = self.given(onnx_models.artifact(onnx_models.two_inputs(tmp_path / "model.onnx")), tmp_path)
        engine = runtime.open(runtime.ready(model, tmp_path / "ready"), runtime.sessions()[0])
        a, b = np.eye(4, dtype=np.float32), np.full((4, 2), 10, np.int64)
        wanted = np.arange(8).reshape(4, 2) + 10
        np.testing.assert_array_equal(engine.run({"b": b, "a": a})["y"], wanted)

    def test_offers_sessions_that_open(self, runtime: Runtime, tmp_path: Path) -> None:
        model = runtime.ready(self.example(tmp_path), tmp_path / "ready")
        assert runtime.sessions()
        for session in runtime.sessions():
            runtime.open(model, session).close()

    def test_may_be_run_by_many_threads(self, engine: Engine) -> None:
        batches = [np.random.default_rng(seed).normal(size=(5, 16)).astype(np.float32) for seed in range(32)]
        wanted = [engine.run({"x": x}) for x in batches]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda x: engine.run({"x": x}), batches))
        for ours, theirs in zip(found, wanted, strict=True):
            for name, array in theirs.items():
                np.testing.assert_array_equal(ours[name], array)

    def test_refuses_an_unknown_setting(self, runtime: Runtime, tmp_path: Path) -> None:
        with pytest.raises(StageError, match="nosuch"):
            runtime.open(self.example(tmp_path), {"nosuch": 1})

    def test_refuses_a_model_it_cannot_read(self, runtime: Runtime, tmp_path: Path) -> None:
        model = self.example(tmp_path)
        model.path.write_bytes(b"no model")
        with pytest.raises(StageError, match=re.escape(model.path.name)):
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

    def test_says_where_the_time_of_a_call_goes(
        self, runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where it can; nothing of it stays in the folder where the program runs."""
        if not isinstance(runtime, Profiler):
            pytest.skip("it does not measure single nodes")
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        model = runtime.ready(self.example(tmp_path), tmp_path / "ready")
        times = runtime.profile(model, runtime.sessions()[0], {"x": np.ones((4, 16), np.float32)})
        assert times
        assert all(one.node and one.operator and one.ms >= 0 for one in times)
        assert sum(one.ms for one in times) > 0
        assert list(Path.cwd().iterdir()) == []
        with pytest.raises(StageError, match="nosuch"):
            runtime.profile(model, {"nosuch": 1}, {"x": np.ones((4, 16), np.float32)})
