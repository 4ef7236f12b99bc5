"""ONNX Runtime's own format: made, opened, and compared with what the devices of a phone take."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest

from fdpipe.artifacts import Artifact
from fdpipe.content import tree_digest
from fdpipe.errors import StageError
from fdpipe.runtime.ort_format import About, Optimized, OrtFormat
from tests import onnx_models
from tests.contracts.runtime import RuntimeContract
from tests.contracts.settings import built

X = np.random.default_rng(0).normal(size=(4, 16)).astype(np.float32)
OPERATORS = "required_operators_and_types.config"


def fixed(path: Path, rows: int = 1) -> Path:
    """The convolutions for exactly so many rows, and with shapes inside."""
    model = onnx.load(onnx_models.conv(path))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = rows
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


def made(worker: OrtFormat, make: Any, folder: Path) -> Artifact:  # noqa: ANN401 - any function of onnx_models
    return worker.ready(onnx_models.artifact(make(folder / "onnx" / "model.onnx")), folder)


@pytest.mark.parametrize(
    "worker", [OrtFormat(), OrtFormat(optimized=Optimized.THERE), OrtFormat(rows=1), OrtFormat(rows=4)], ids=str
)
class TestOrtFormat(RuntimeContract):
    @pytest.fixture
    def runtime(self, worker: OrtFormat) -> OrtFormat:
        return worker

    def test_says_which_operators_a_reduced_build_needs(self, runtime: OrtFormat, tmp_path: Path) -> None:
        folder = made(runtime, onnx_models.conv, tmp_path).folder
        lines = (folder / OPERATORS).read_text().splitlines()
        assert [line.split(";")[0] for line in lines] == sorted(line.split(";")[0] for line in lines)
        assert any(line.startswith("ai.onnx;13;Flatten,Gemm") for line in lines)
        assert any("FusedConv" in line for line in lines), "whichever optimizations are run there"
        assert str(tmp_path) not in "".join(lines)


def test_the_artifact_is_the_file_and_what_stands_beside_it(tmp_path: Path) -> None:
    found = made(OrtFormat(), onnx_models.mlp, tmp_path)
    assert found.kind == "ort"
    assert found.size_bytes == found.path.stat().st_size
    assert found.digest == tree_digest(found.folder)
    assert {file.name for file in found.folder.iterdir()} == {"model.ort", OPERATORS, "compatibility.json"}
    about = msgspec.json.decode((found.folder / "compatibility.json").read_bytes(), type=About)
    assert about == About(
        onnx_bytes=(tmp_path / "onnx" / "model.onnx").stat().st_size, ort_bytes=found.size_bytes, nodes=8, left_over={}
    )


def test_weights_beside_the_graph_are_taken_in(tmp_path: Path) -> None:
    found = made(OrtFormat(), lambda path: onnx_models.mlp(path, external=True), tmp_path)
    answers = OrtFormat().open(found, {}).run({"x": X})["y"]
    np.testing.assert_allclose(answers, onnx_models.mlp_tensors(X)["y"], rtol=1e-4, atol=1e-5)


def test_what_is_no_graph_is_one_line(tmp_path: Path) -> None:
    artifact = onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx"))
    artifact.path.write_bytes(b"no model")
    with pytest.raises(StageError, match="writing ONNX Runtime's format failed") as caught:
        OrtFormat().ready(artifact, tmp_path / "ready")
    assert "\n" not in str(caught.value)


def test_it_opens_nothing_else(tmp_path: Path) -> None:
    artifact = onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx"))
    with pytest.raises(StageError, match="ort_format opens ort, not engine"):
        OrtFormat().open(replace(artifact, kind="engine"), {})


# --- devices ----------------------------------------------------------------------------------------------------------


def left(make: Any, folder: Path, *devices: str) -> list[tuple[str, str, str]]:  # noqa: ANN401 - any function of onnx_models
    worker = OrtFormat(devices=devices)
    return [(one.node, one.operator, one.reason) for one in worker.unsupported(made(worker, make, folder))]


def test_an_operator_that_a_device_has_not_is_named_by_its_node(tmp_path: Path) -> None:
    assert left(onnx_models.tree, tmp_path, "nnapi") == [("y", "TreeEnsembleRegressor", "nnapi has no such operator")]


def test_open_sizes_are_told_apart_from_missing_operators(tmp_path: Path) -> None:
    found = left(onnx_models.conv, tmp_path, "coreml")
    assert ("conv0", "Conv", "coreml takes it with fixed sizes only") in found
    assert ("flat", "Flatten", "coreml has no such operator") in found


def test_with_fixed_sizes_the_device_takes_them(tmp_path: Path) -> None:
    assert left(fixed, tmp_path / "one", "nnapi") == []
    assert left(fixed, tmp_path / "two", "coreml") == [("flat", "Flatten", "coreml has no such operator")]


def test_a_call_of_fixed_rows_is_what_devices_take(tmp_path: Path) -> None:
    worker = OrtFormat(rows=1, devices=("nnapi",))
    assert worker.unsupported(made(worker, onnx_models.conv, tmp_path)) == ()


def test_a_graph_without_known_sizes_is_compared_all_the_same(tmp_path: Path) -> None:
    found = left(onnx_models.text, tmp_path, "nnapi")
    assert ("label", "LabelEncoder", "nnapi has no such operator") in found


def test_a_device_without_a_list_is_refused() -> None:
    with pytest.raises(ValueError, match="devices must be of nnapi, coreml, not xnnpack"):
        OrtFormat(devices=("xnnpack",))


def test_rows_are_a_number() -> None:
    with pytest.raises(ValueError, match="rows must not be negative"):
        OrtFormat(rows=-1)


def test_its_file_builds() -> None:
    assert built("runtime", "ort_format") == OrtFormat()
