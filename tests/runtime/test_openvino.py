"""OpenVINO: its session settings, and models of several kinds."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest

from fdpipe.artifacts import Artifact, TensorSpec
from fdpipe.content import tree_digest
from fdpipe.errors import MissingExtra, StageError
from fdpipe.interfaces import Session
from fdpipe.machine import describe_machine
from fdpipe.runtime._openvino_models import OFTEN
from fdpipe.runtime.openvino import OpenVino, OpenVinoEngine
from tests import onnx_models
from tests.contracts.runtime import RuntimeContract
from tests.contracts.settings import built

pytestmark = pytest.mark.skipif(find_spec("openvino") is None, reason="the extra `openvino` is not installed")

X = np.random.default_rng(0).normal(size=(4, 16)).astype(np.float32)


class TestOpenVino(RuntimeContract):
    @pytest.fixture
    def runtime(self) -> OpenVino:
        return OpenVino()

    def test_opens_onnx_as_it_is(self, runtime: OpenVino, tmp_path: Path) -> None:
        model = onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx"))
        assert runtime.ready(model, tmp_path / "ready") is model
        assert not (tmp_path / "ready").exists()

    def test_finds_weights_beside_the_graph(self, runtime: OpenVino, tmp_path: Path) -> None:
        model = onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx", external=True))
        found = runtime.open(model, {}).run({"x": X})["y"]
        np.testing.assert_allclose(found, onnx_models.mlp_tensors(X)["y"], rtol=1e-4, atol=1e-5)

    def test_opens_its_own_format(self, runtime: OpenVino, tmp_path: Path) -> None:
        found = runtime.open(saved_ir(tmp_path), {}).run({"x": X})
        np.testing.assert_allclose(found["y"], onnx_models.mlp_tensors(X)["y"], rtol=1e-4, atol=1e-5)

    def test_answers_no_rows_at_all(self, runtime: OpenVino, tmp_path: Path) -> None:
        model = onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx"))
        assert runtime.open(model, {}).run({"x": X[:0]})["y"].shape == (0, 10)

    def test_an_answer_stays_as_it_was(self, runtime: OpenVino, tmp_path: Path) -> None:
        """Requests are used again: what one has answered is not the memory of the next."""
        engine = runtime.open(onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx")), {})
        first = engine.run({"x": X})["y"]
        kept = first.copy()
        engine.run({"x": X + 1})
        np.testing.assert_array_equal(first, kept)

    def test_takes_rows_that_lie_otherwise_in_memory_or_are_read_only(self, runtime: OpenVino, tmp_path: Path) -> None:
        engine = runtime.open(onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx")), {})
        sealed = X.copy()
        sealed.flags.writeable = False
        for rows in (np.asfortranarray(X), sealed):
            np.testing.assert_array_equal(engine.run({"x": rows})["y"], engine.run({"x": X})["y"])

    def test_whole_numbers_beyond_32_bits_are_refused(self, runtime: OpenVino, tmp_path: Path) -> None:
        """OpenVINO would cut them off, and answer with another number."""
        engine = runtime.open(whole_numbers(tmp_path / "model.onnx"), {})
        most = np.array([[-(2**31)], [2**31 - 1]])
        np.testing.assert_array_equal(engine.run({"x": most})["y"], most)
        for beyond in (2**31, -(2**31) - 1):
            with pytest.raises(StageError, match="x has values beyond 32 bits"):
                engine.run({"x": np.array([[0], [beyond]])})

    @pytest.mark.parametrize(("make", "operator"), [(onnx_models.tree, "TreeEnsembleRegressor"), (onnx_models.text, "Label")])
    def test_says_which_operator_it_has_not(self, runtime: OpenVino, tmp_path: Path, make: object, operator: str) -> None:
        model = onnx_models.artifact(make(tmp_path / "model.onnx"))  # type: ignore[operator]
        with pytest.raises(StageError, match=rf"cannot open model\.onnx: .*{operator}") as caught:
            runtime.open(model, {})
        assert "\n" not in str(caught.value)

    def test_opens_nothing_else(self, runtime: OpenVino, tmp_path: Path) -> None:
        model = onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx"))
        with pytest.raises(StageError, match="openvino opens onnx and openvino, not engine"):
            runtime.open(replace(model, kind="engine"), {})

    def test_keeps_as_many_requests_as_were_needed_at_once(self, runtime: OpenVino, tmp_path: Path) -> None:
        engine = runtime.open(onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx")), {})
        assert isinstance(engine, OpenVinoEngine)
        for _ in range(5):
            engine.run({"x": X})
        assert engine._models is not None
        assert engine._models.general.idle == 1


class TestShapes:
    """With `shapes`, a model is compiled for each of the first shapes that come a few times."""

    @pytest.fixture
    def engine(self, tmp_path: Path) -> OpenVinoEngine:
        engine = OpenVino().open(onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx")), {"shapes": 2})
        assert isinstance(engine, OpenVinoEngine)
        return engine

    def made(self, engine: OpenVinoEngine) -> list[int]:
        """For how many rows there is a model of its own."""
        assert engine._models is not None
        return [shapes[0][0] for shapes, model in engine._models.made.items() if model is not engine._models.general]

    def test_it_answers_the_same(self, engine: OpenVinoEngine) -> None:
        first = engine.run({"x": X})["y"]
        for _ in range(OFTEN):
            np.testing.assert_allclose(engine.run({"x": X})["y"], first, rtol=1e-5, atol=1e-6)
        assert self.made(engine) == [len(X)]
        np.testing.assert_allclose(engine.run({"x": X[:3]})["y"], first[:3], rtol=1e-5, atol=1e-6)

    def test_there_are_no_more_than_wanted(self, engine: OpenVinoEngine) -> None:
        for rows in (1, 2, 3, 4, 1):
            for _ in range(OFTEN):
                assert len(engine.run({"x": X[:rows]})["y"]) == rows
        assert self.made(engine) == [1, 2]

    def test_rows_that_do_not_fit_are_still_refused(self, engine: OpenVinoEngine) -> None:
        for _ in range(OFTEN + 1):
            with pytest.raises(StageError, match="is not that of the model"):
                engine.run({"x": X[:, :3]})
        assert self.made(engine) == []

    def test_no_rows_have_no_model_of_their_own(self, engine: OpenVinoEngine) -> None:
        for _ in range(OFTEN + 1):
            assert engine.run({"x": X[:0]})["y"].shape == (0, 10)
        assert self.made(engine) == []

    def test_many_threads_may_ask_while_one_is_made(self, engine: OpenVinoEngine) -> None:
        wanted = {rows: engine.run({"x": X[:rows]})["y"] for rows in range(1, 5)}
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda number: engine.run({"x": X[: number % 4 + 1]})["y"], range(64)))
        for number, answer in enumerate(found):
            np.testing.assert_allclose(answer, wanted[number % 4 + 1], rtol=1e-5, atol=1e-6)
        assert len(self.made(engine)) == 2

    def test_where_the_file_has_gone_the_model_for_all_goes_on(self, engine: OpenVinoEngine, tmp_path: Path) -> None:
        (tmp_path / "model.onnx").unlink()
        for _ in range(OFTEN + 1):
            assert len(engine.run({"x": X})["y"]) == len(X)
        assert self.made(engine) == []

    def test_a_model_of_fixed_shapes_needs_none(self, tmp_path: Path) -> None:
        path = onnx_models.mlp(tmp_path / "model.onnx")
        model = onnx.load(path)
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = 4
        onnx.save(model, path)
        engine = OpenVino().open(onnx_models.artifact(path), {"shapes": 2})
        assert isinstance(engine, OpenVinoEngine)
        for _ in range(OFTEN + 1):
            engine.run({"x": X})
        assert self.made(engine) == []


def test_sessions_know_the_machine() -> None:
    offered = OpenVino().sessions()
    assert offered[0] == {}
    has_bf16 = {"avx512_bf16", "amx_bf16", "bf16"} & set(describe_machine().instruction_sets)
    assert any(session.get("precision") == "bf16" for session in offered) is bool(has_bf16)
    assert ({"hint": "throughput"} in offered) is (describe_machine().cores > 1)


def test_times_have_the_kernels_and_what_they_read(tmp_path: Path) -> None:
    times = OpenVino().profile(onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx")), {"threads": 1}, {"x": X})
    products = [one for one in times if one.operator.startswith("FullyConnected")]
    assert len(products) == 3
    assert all(one.operator.endswith("f32") for one in products)
    assert products[0].node in products[1].inputs


def test_rows_that_do_not_fit_are_not_timed(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"cannot measure the nodes of model\.onnx: .*shape"):
        OpenVino().profile(onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx")), {}, {"x": X[:, :3]})


def whole_numbers(path: Path) -> Artifact:
    """y is x, both int64."""
    numbers = [onnx_models.value(name, onnx.TensorProto.INT64, "rows", 1) for name in ("x", "y")]
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    return onnx_models.artifact(onnx_models.save(path, [node], numbers[:1], numbers[1:]))


def saved_ir(folder: Path) -> Artifact:
    """The MLP in OpenVINO's own format, outputs as the artifact calls them."""
    from fdpipe.openvino import library

    openvino = library()
    read = openvino.Core().read_model(onnx_models.mlp(folder / "onnx" / "model.onnx"))
    openvino.save_model(read, folder / "ir" / "model.xml", compress_to_fp16=False)
    specs = [TensorSpec(name=name, dtype="float32", shape=("rows", width)) for name, width in (("x", 16), ("y", 10))]
    path = folder / "ir" / "model.xml"
    return Artifact(
        kind="openvino", path=path, digest=tree_digest(path.parent), size_bytes=1, inputs=(specs[0],), outputs=(specs[1],)
    )


@pytest.mark.parametrize(
    ("session", "name", "wanted"),
    [
        ({}, "PERFORMANCE_HINT", "LATENCY"),
        ({}, "INFERENCE_PRECISION_HINT", "<Type: 'float32'>"),
        ({}, "ENABLE_CPU_PINNING", "False"),
        ({"pinning": True}, "ENABLE_CPU_PINNING", "True"),
        ({"threads": 1}, "INFERENCE_NUM_THREADS", "1"),
        ({"threads": 1, "hint": "throughput"}, "INFERENCE_NUM_THREADS", "1"),
        ({"threads": 1, "hint": "throughput"}, "NUM_STREAMS", "1"),
        ({"hint": "throughput"}, "PERFORMANCE_HINT", "THROUGHPUT"),
        ({"threads": 2, "streams": 2}, "NUM_STREAMS", "2"),
        ({"flush_denormals": True}, "CPU_DENORMALS_OPTIMIZATION", "True"),
    ],
)
def test_settings_reach_the_model(session: Session, name: str, wanted: str, tmp_path: Path) -> None:
    engine = OpenVino().open(onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx")), session)
    assert isinstance(engine, OpenVinoEngine)
    assert engine._models is not None
    assert str(engine._models.general.compiled.get_property(name)) == wanted


def test_bfloat16_answers_within_its_own_precision(tmp_path: Path) -> None:
    engine = OpenVino().open(onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx")), {"precision": "bf16"})
    found = engine.run({"x": X})["y"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, onnx_models.mlp_tensors(X)["y"], rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    ("session", "message"),
    [
        (
            {"thread": 1},
            "openvino knows no session setting 'thread': it has threads, precision, shapes, hint, streams, flush_denormals",
        ),
        ({"threads": "2"}, "threads must be of type int, not '2'"),
        ({"threads": -1}, "threads must not be negative"),
        ({"shapes": -1}, "shapes must not be negative"),
        ({"streams": -1}, "streams must not be negative"),
        ({"hint": "fast"}, "hint must be one of latency, throughput, not 'fast'"),
        ({"precision": "f16"}, "precision must be one of f32, bf16, not 'f16'"),
        ({"pinning": 1}, "pinning must be of type bool"),
    ],
)
def test_wrong_settings_are_told(session: Session, message: str, tmp_path: Path) -> None:
    model = onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx"))
    with pytest.raises(StageError, match=message):
        OpenVino().open(model, session)


def test_without_the_library_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtra, match=r"pip install 'fdpipe\[openvino\]'"):
        OpenVino().check()


def test_it_tells_nobody_and_leaves_no_file(tmp_path: Path) -> None:
    """OpenVINO's first import would send an event, and write an identity into the home folder; so it is not let."""
    code = (
        "import sys, fdpipe.runtime.openvino as r; r.OpenVino().check();"
        "heavy = {'openvino_telemetry', 'onnx', 'mlflow', 'prefect', 'hydra', 'fdpipe.graphs', 'fdpipe.store'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    environment = {"HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
    assert list(tmp_path.iterdir()) == []


def test_its_file_builds() -> None:
    assert built("runtime", "openvino") == OpenVino()
