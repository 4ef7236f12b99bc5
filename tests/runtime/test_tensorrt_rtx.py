"""TensorRT for RTX: engines are really built here; they are run only where there is a GPU."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from fdpipe import workers
from fdpipe.artifacts import Artifact
from fdpipe.content import tree_digest
from fdpipe.errors import Incompatible, MissingExtra, StageError
from fdpipe.runtime import _cuda
from fdpipe.runtime._tensorrt import About
from fdpipe.runtime.tensorrt_rtx import TensorRtRtx
from tests import onnx_models
from tests.contracts.settings import built

installed = pytest.mark.skipif(find_spec("tensorrt_rtx") is None, reason="the extra `rtx` is not installed")
without_gpu = pytest.mark.skipif(_cuda.missing() is None, reason="there is a GPU")
with_gpu = pytest.mark.skipif(_cuda.missing() is not None, reason=_cuda.missing() or "")

X = np.random.default_rng(0).normal(size=(70, 16)).astype(np.float32)


def model(make: Callable[[Path], Path], folder: Path) -> Artifact:
    return onnx_models.artifact(make(folder / "onnx" / "model.onnx"))


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("mlp")
    return TensorRtRtx().ready(model(onnx_models.mlp, folder), folder)


# --- building ---------------------------------------------------------------------------------------------------------


@installed
def test_an_engine_is_built_here_and_says_for_what(mlp: Artifact) -> None:
    import msgspec

    assert mlp.kind == "tensorrt_rtx"
    assert mlp.path.stat().st_size > 10_000
    assert mlp.digest == tree_digest(mlp.folder)
    assert mlp.size_bytes == sum(file.stat().st_size for file in mlp.folder.iterdir())
    assert [one.name for one in (*mlp.inputs, *mlp.outputs)] == ["x", "y"]
    about = msgspec.json.decode((mlp.folder / "engine.json").read_bytes(), type=About)
    assert about.capabilities == ("SM80", "SM86", "SM89", "SM120")
    assert about.shapes == {"x": ((1, 16), (8, 16), (64, 16))}
    assert about.version


@installed
def test_the_same_model_gives_the_same_engine(mlp: Artifact, tmp_path: Path) -> None:
    assert TensorRtRtx().ready(model(onnx_models.mlp, tmp_path), tmp_path).digest == mlp.digest


@installed
def test_without_tf32_it_is_another_engine(mlp: Artifact, tmp_path: Path) -> None:
    assert TensorRtRtx(tf32=False).ready(model(onnx_models.mlp, tmp_path), tmp_path).digest != mlp.digest


@installed
def test_every_open_axis_has_its_span(tmp_path: Path) -> None:
    import msgspec

    def words(path: Path) -> Path:
        nodes = [helper.make_node("Relu", ["a"], ["b"]), helper.make_node("Relu", ["c"], ["d"])]
        inputs, outputs = (
            [onnx_models.value(name, onnx_models.FLOAT, "rows", axis, 3) for name, axis in pairs]
            for pairs in ((("a", "sequence"), ("c", "width")), (("b", "sequence"), ("d", "width")))
        )
        return onnx_models.save(path, nodes, inputs, outputs)

    worker = TensorRtRtx(compute_capabilities=("SM86",), rows=(1, 2, 4), axis=(1, 5, 6), axes={"sequence": (8, 16, 32)})
    engine = worker.ready(model(words, tmp_path), tmp_path)
    about = msgspec.json.decode((engine.folder / "engine.json").read_bytes(), type=About)
    assert about.shapes == {"a": ((1, 8, 3), (2, 16, 3), (4, 32, 3)), "c": ((1, 1, 3), (2, 5, 3), (4, 6, 3))}


@installed
def test_an_operator_that_it_has_not_is_named_by_its_node(tmp_path: Path) -> None:
    with pytest.raises(
        Incompatible, match="cannot take the model: TreeEnsembleRegressor y: there is no such operator"
    ) as caught:
        TensorRtRtx().ready(model(onnx_models.tree, tmp_path), tmp_path)
    (node,) = caught.value.nodes
    assert (node.node, node.operator, node.reason) == ("y", "TreeEnsembleRegressor", "there is no such operator")


@installed
def test_all_of_them_are_named_at_once(tmp_path: Path) -> None:
    def unknown(path: Path) -> Path:
        pairs = (("First", "x", "h"), ("Second", "h", "y"))
        nodes = [helper.make_node(name, [a], [b], domain="ai.onnx.ml") for name, a, b in pairs]
        tensors = [onnx_models.value(name, onnx_models.FLOAT, "rows", 4) for name in "xy"]
        return onnx_models.save(path, nodes, tensors[:1], tensors[1:])

    with pytest.raises(Incompatible) as caught:
        TensorRtRtx().ready(model(unknown, tmp_path), tmp_path)
    assert [(one.node, one.operator) for one in caught.value.nodes] == [("h", "First"), ("y", "Second")]


@installed
def test_what_one_gpu_lacks_is_told_of_the_node(tmp_path: Path) -> None:
    """The oldest has no multiplication of float32 matrices: it wants float16."""
    with pytest.raises(Incompatible, match=r"MatMul m0: FP32 GEMM is not supported on Turing \(SM75\)") as caught:
        TensorRtRtx(compute_capabilities=("SM86", "SM75")).ready(model(onnx_models.mlp, tmp_path), tmp_path)
    assert [(one.node, one.operator) for one in caught.value.nodes] == [("m0", "MatMul")]


@installed
def test_a_gpu_for_which_none_is_built_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"builds for SM75, .*, and not for SM90"):
        TensorRtRtx(compute_capabilities=("SM90",)).ready(model(onnx_models.mlp, tmp_path), tmp_path)


@installed
def test_what_is_no_graph_is_one_line(tmp_path: Path) -> None:
    artifact = model(onnx_models.mlp, tmp_path)
    artifact.path.write_bytes(b"no model")
    with pytest.raises(StageError) as caught:
        TensorRtRtx().ready(artifact, tmp_path)
    assert str(caught.value).startswith("tensorrt_rtx cannot")
    assert "\n" not in str(caught.value)


@installed
def test_what_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"was not done building after build_seconds=0\.01"):
        TensorRtRtx(build_seconds=0.01).ready(model(onnx_models.mlp, tmp_path), tmp_path)


@installed
def test_the_library_writes_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Incompatible):
        TensorRtRtx().ready(model(onnx_models.text, tmp_path), tmp_path)
    assert capfd.readouterr() == ("", "")


# --- running ----------------------------------------------------------------------------------------------------------


@without_gpu
def test_without_a_gpu_it_says_what_is_missing() -> None:
    assert "no NVIDIA GPU" in (TensorRtRtx().absent() or "")


@installed
@without_gpu
def test_an_engine_is_not_opened_without_a_gpu(mlp: Artifact) -> None:
    with pytest.raises(StageError, match=r"model\.engine cannot be run here: .*no NVIDIA GPU"):
        TensorRtRtx().open(mlp, {})


@installed
@pytest.mark.device
@with_gpu
def test_an_engine_answers_like_the_graph(mlp: Artifact) -> None:
    worker = TensorRtRtx()
    if reason := worker.absent():
        pytest.skip(reason)
    engine = worker.open(mlp, {})
    np.testing.assert_allclose(engine.run({"x": X})["y"], onnx_models.mlp_tensors(X)["y"], rtol=1e-2, atol=1e-2)
    engine.close()
    with pytest.raises(StageError, match="closed"):
        engine.run({"x": X})


def test_it_opens_its_own_engines_only(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"tensorrt_rtx opens its own engines, not onnx: model\.onnx"):
        TensorRtRtx().open(model(onnx_models.mlp, tmp_path), {})


@installed
def test_it_knows_no_setting_but_threads(mlp: Artifact) -> None:
    with pytest.raises(StageError, match="knows no session setting 'streams'"):
        TensorRtRtx().open(mlp, {"streams": 2})


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"compute_capabilities": ()}, "compute_capabilities must name at least one"),
        ({"compute_capabilities": ("8.6",)}, "compute_capabilities must name at least one, as SM86"),
        ({"rows": (2, 1, 4)}, "rows must be the least, the usual and the most"),
        ({"axis": (0, 1, 4)}, "axis must be the least"),
        ({"axes": {"sequence": (4, 2, 8)}}, "axes.sequence must be the least"),
        ({"build_seconds": 0}, "build_seconds must be above 0"),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TensorRtRtx(**settings)


def test_without_the_library_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(MissingExtra, match=r"pip install 'fdpipe\[rtx\]'"):
        TensorRtRtx().check()


def test_it_is_made_again_from_its_settings() -> None:
    worker = TensorRtRtx(axes={"sequence": (1, 2, 3)})
    assert workers.build("runtime", workers.describe(worker)) == worker


def test_its_file_builds() -> None:
    assert built("runtime", "tensorrt_rtx") == TensorRtRtx()
