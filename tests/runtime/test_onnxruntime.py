"""ONNX Runtime: its session settings, and models of several kinds."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnxruntime import ExecutionMode

from fdpipe.artifacts import Candidate, NodeTime, Ranges
from fdpipe.calibrator.minmax import MinMax
from fdpipe.errors import MissingExtra, StageError
from fdpipe.interfaces import Calibration, Session
from fdpipe.passes.int8_static import Int8Static
from fdpipe.runtime._onnxruntime_sessions import OnnxEngine, usable_cores
from fdpipe.runtime.onnxruntime import OnnxRuntime
from tests import onnx_models
from tests.contracts.runtime import RuntimeContract
from tests.contracts.settings import built


class TestOnnxRuntime(RuntimeContract):
    @pytest.fixture
    def runtime(self) -> OnnxRuntime:
        return OnnxRuntime()

    def test_opens_onnx_as_it_is(self, runtime: OnnxRuntime, tmp_path: Path) -> None:
        model = onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx"))
        assert runtime.ready(model, tmp_path / "ready") is model
        assert not (tmp_path / "ready").exists()

    def test_finds_weights_beside_the_graph(self, runtime: OnnxRuntime, tmp_path: Path) -> None:
        model = onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx", external=True))
        assert (tmp_path / "model.onnx.data").exists()
        x = np.ones((2, 16), np.float32)
        found = runtime.open(model, {}).run({"x": x})["y"]
        np.testing.assert_allclose(found, onnx_models.mlp_tensors(x)["y"], rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("dtype", [object, str])
    def test_takes_and_gives_strings(self, runtime: OnnxRuntime, tmp_path: Path, dtype: type) -> None:
        engine = runtime.open(onnx_models.artifact(onnx_models.text(tmp_path / "model.onnx")), {})
        words: np.ndarray = np.array([["yes"], ["no"], [""], ["Grüße"]], dtype)
        answers = engine.run({"s": words})
        assert answers["label"].tolist() == [[1], [0], [-1], [-1]]
        assert answers["word"].tolist() == words.tolist()

    def test_opens_nothing_but_onnx(self, runtime: OnnxRuntime, tmp_path: Path) -> None:
        model = onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx"))
        with pytest.raises(StageError, match="not engine"):
            runtime.open(replace(model, kind="engine"), {})


def profiled(model: Path, x: np.ndarray, **session: int | str) -> tuple[NodeTime, ...]:
    return OnnxRuntime().profile(onnx_models.artifact(model), session, {"x": x})


def test_nodes_keep_their_names_however_they_are_fused(tmp_path: Path) -> None:
    """In the order in which they run, each with those that it waits for."""
    x = np.ones((4, 3, 8, 8), np.float32)
    plain = profiled(onnx_models.conv(tmp_path / "model.onnx"), x, graph_level="disable")
    nodes = ["conv0", "relu0", "pool", "conv1", "sum", "mean", "flat", "y"]
    assert sorted(one.node for one in plain) == sorted(nodes)
    assert {one.node: one.inputs for one in plain}["sum"] == ("conv1", "pool")
    fused = profiled(tmp_path / "model.onnx", x)
    assert {one.node for one in fused} <= set(nodes)
    assert "conv0" not in {one.node for one in fused}
    assert next(one.operator for one in fused if one.node == "relu0") == "Conv"


def test_quantized_nodes_keep_the_names_of_the_float_ones(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(4, 3, 8, 8)).astype(np.float32)
    source, target = onnx_models.conv(tmp_path / "model.onnx"), tmp_path / "int8.onnx"
    values = MinMax().collect(source, lambda: [{"x": x}])
    ranges = Ranges(method="minmax", rows=4, data_digest="", values=values, inputs={})
    Int8Static().apply(source, target, Calibration(ranges=ranges))
    found = {one.operator: one.node for one in profiled(target, x)}
    assert {"QLinearConv", "QuantizeLinear"} <= set(found)
    assert found["QLinearConv"] in {"conv0", "relu0", "conv1"}


def test_nodes_of_a_model_with_weights_beside_it_are_measured(tmp_path: Path) -> None:
    model = onnx_models.mlp(tmp_path / "model.onnx", external=True)
    assert {one.node for one in profiled(model, np.ones((2, 16), np.float32))} == {"r0", "r1", "y"}


def test_rows_that_do_not_fit_are_told_when_nodes_are_measured(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"cannot measure the nodes of model\.onnx"):
        profiled(onnx_models.mlp(tmp_path / "model.onnx"), np.ones((2, 3), np.float32))


def test_no_rows_have_no_answers(tmp_path: Path) -> None:
    """ONNX Runtime itself would divide by their number, and end the process."""
    nodes = [helper.make_node("Einsum", ["a", "b"], ["y"], equation="nij,njk->nik")]
    shapes = [onnx_models.value(name, TensorProto.FLOAT, "rows", 2, 2) for name in "aby"]
    engine = OnnxRuntime().open(
        onnx_models.artifact(onnx_models.save(tmp_path / "model.onnx", nodes, shapes[:2], shapes[2:])), {}
    )
    assert engine.run(dict.fromkeys("ab", np.zeros((0, 2, 2), np.float32)))["y"].shape == (0, 2, 2)
    text = OnnxRuntime().open(onnx_models.artifact(onnx_models.text(tmp_path / "text.onnx")), {})
    assert text.run({"s": np.zeros((0, 1), object)})["word"].shape == (0, 1)


def test_a_provider_that_is_not_there_names_its_extra() -> None:
    with pytest.raises(MissingExtra, match=r"NoSuchProvider.*CPUExecutionProvider.*fdpipe\[gpu\]"):
        OnnxRuntime(provider="NoSuchProvider", extra="gpu").check()


def options_of(session: Session, folder: Path) -> object:
    model = onnx_models.artifact(onnx_models.mlp(folder / "model.onnx"))
    engine = OnnxRuntime().open(model, session)
    assert isinstance(engine, OnnxEngine)
    assert engine._session is not None
    return engine._session.get_session_options()


@pytest.mark.parametrize(
    ("session", "name", "wanted"),
    [
        ({}, "intra_op_num_threads", usable_cores()),
        ({"threads": 0}, "intra_op_num_threads", usable_cores()),
        ({"threads": 1}, "intra_op_num_threads", 1),
        ({}, "inter_op_num_threads", 1),
        ({"inter_threads": 2}, "inter_op_num_threads", 2),
        ({}, "enable_cpu_mem_arena", True),
        ({"arena": False}, "enable_cpu_mem_arena", False),
        ({}, "enable_mem_pattern", True),
        ({"memory_pattern": False}, "enable_mem_pattern", False),
        ({"inter_threads": 2}, "execution_mode", ExecutionMode.ORT_PARALLEL),
        ({}, "execution_mode", ExecutionMode.ORT_SEQUENTIAL),
    ],
)
def test_settings_reach_the_session(session: Session, name: str, wanted: object, tmp_path: Path) -> None:
    assert getattr(options_of(session, tmp_path), name) == wanted


@pytest.mark.parametrize(
    ("session", "key", "wanted"),
    [
        ({}, "session.intra_op.allow_spinning", "0"),
        ({"spinning": True}, "session.intra_op.allow_spinning", "1"),
        ({"spinning": True}, "session.inter_op.allow_spinning", "1"),
        ({}, "session.dynamic_block_base", "0"),
        ({"block_base": 4}, "session.dynamic_block_base", "4"),
        ({}, "session.disable_prepacking", "0"),
        ({"prepacking": False}, "session.disable_prepacking", "1"),
        ({"flush_denormals": True}, "session.set_denormal_as_zero", "1"),
        ({"gelu_approximation": True}, "optimization.enable_gelu_approximation", "1"),
        ({"unsigned_weights": True}, "session.x64quantprecision", "1"),
    ],
)
def test_settings_have_onnxruntimes_own_words(session: Session, key: str, wanted: str, tmp_path: Path) -> None:
    assert options_of(session, tmp_path).get_session_config_entry(key) == wanted  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "session",
    [
        {"arena": False, "memory_pattern": False},
        {"prepacking": False},
        {"block_base": 4, "threads": 2},
        {"flush_denormals": True},
        {"unsigned_weights": True},
        {"inter_threads": 2},
    ],
)
def test_settings_change_no_answer(session: Session, tmp_path: Path) -> None:
    model = onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx"))
    x = np.random.default_rng(0).normal(size=(4, 16)).astype(np.float32)
    np.testing.assert_allclose(
        OnnxRuntime().open(model, session).run({"x": x})["y"], onnx_models.mlp_tensors(x)["y"], rtol=1e-4, atol=1e-5
    )


def test_every_session_offered_is_another_and_the_default_is_first() -> None:
    offered = OnnxRuntime().sessions()
    assert offered[0] == {}
    assert len({tuple(sorted(one.items())) for one in offered}) == len(offered)
    assert OnnxRuntime(provider="CUDAExecutionProvider").sessions() == ({},)


def test_a_recorded_candidate_names_its_settings() -> None:
    named = [Candidate(runtime="onnxruntime", recipe="none", session=one).name for one in OnnxRuntime().sessions()]
    assert named[:2] == ["onnxruntime/none", "onnxruntime/none[graph_level=basic]"]


@pytest.mark.parametrize("level", ["disable", "basic", "extended", "all"])
def test_every_level_gives_the_same_answers(level: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(4, 16)).astype(np.float32)
    engine = OnnxRuntime().open(onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx")), {"graph_level": level})
    np.testing.assert_allclose(engine.run({"x": x})["y"], onnx_models.mlp_tensors(x)["y"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("session", "message"),
    [
        ({"thread": 1}, "knows no session setting 'thread': it has threads"),
        ({"threads": "2"}, "threads must be of type int, not '2'"),
        ({"threads": True}, "threads must be of type int, not True"),
        ({"threads": -1}, "threads must not be negative"),
        ({"inter_threads": 0}, "inter_threads at least 1"),
        ({"spinning": 1}, "spinning must be of type bool"),
        ({"block_base": -1}, "block_base must be from 0 to 1024, not -1"),
        ({"block_base": 2000}, "block_base must be from 0 to 1024, not 2000"),
        ({"graph_level": "most"}, "one of disable, basic, extended, all, not 'most'"),
    ],
)
def test_wrong_settings_are_told(session: Session, message: str, tmp_path: Path) -> None:
    model = onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx"))
    with pytest.raises(StageError, match=message):
        OnnxRuntime().open(model, session)


def test_needs_no_more_at_serve_time_than_numpy_and_onnxruntime() -> None:
    code = (
        "import sys, fdpipe.runtime.onnxruntime as r; r.OnnxRuntime().check();"
        "heavy = {'onnx', 'mlflow', 'prefect', 'hydra', 'sklearn', 'fdpipe.graphs', 'fdpipe.store'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_its_files_build() -> None:
    assert built("runtime", "onnxruntime") == OnnxRuntime()
    assert built("runtime", "onnxruntime_cuda") == OnnxRuntime(provider="CUDAExecutionProvider", extra="gpu")
