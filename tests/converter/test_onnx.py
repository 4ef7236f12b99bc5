"""ONNX as it was registered."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from fdpipe.arrays import Batch
from fdpipe.artifacts import SourceModel, Task, TensorSpec
from fdpipe.converter.onnx import Onnx
from fdpipe.errors import ConversionError
from tests import onnx_models
from tests.contracts.converter import ConverterContract, answers, ask, exported
from tests.contracts.settings import built
from tests.models import saved_onnx, two_inputs


class TestOnnx(ConverterContract):
    @pytest.fixture
    def converter(self) -> Onnx:
        return Onnx()

    @pytest.fixture
    def model(self, tmp_path: Path) -> SourceModel:
        return saved_onnx(tmp_path / "model", two_inputs())

    @pytest.fixture
    def batch(self) -> Batch:
        return {"a": np.ones((5, 3), np.float32), "b": np.zeros((5, 2), np.float32)}

    def test_its_file_is_the_default(self) -> None:
        assert built("converter", "onnx") == Onnx()

    def test_both_inputs_go_by_their_own_names(self, model: SourceModel, tmp_path: Path) -> None:
        export = exported(Onnx(), model, tmp_path)
        assert export.inputs == (
            TensorSpec(name="a", dtype="float32", shape=("rows", 3)),
            TensorSpec(name="b", dtype="float32", shape=("rows", 2)),
        )
        assert export.task is Task.TENSORS


@pytest.mark.parametrize(
    ("name", "task"), [("label", Task.CLASSIFICATION), ("value", Task.REGRESSION), ("other", Task.TENSORS)]
)
def test_outputs_names_say_the_task(tmp_path: Path, name: str, task: Task) -> None:
    made = two_inputs()
    made.graph.node[1].output[0] = made.graph.output[0].name = name
    assert exported(Onnx(), saved_onnx(tmp_path / "model", made), tmp_path).task is task


def large(folder: Path) -> SourceModel:
    """A model with its weights in a file beside it."""
    return saved_onnx(folder, two_inputs(weights=1000))


def test_weights_beside_the_graph_come_along(tmp_path: Path) -> None:
    model = large(tmp_path / "model")
    batch = {"a": np.ones((2, 1000), np.float32), "b": np.ones((2, 2), np.float32)}
    before = answers(Onnx(), model, batch)["y"]
    export = exported(Onnx(), model, tmp_path)
    assert len(list(export.path.parent.iterdir())) == 2
    (tmp_path / "model").rename(tmp_path / "gone")
    np.testing.assert_array_equal(ask(export.path, batch)["y"], before)


def redirect(model: SourceModel, location: str) -> None:
    """Make the model take its weights from another place."""
    path = model.path / "model.onnx"
    made = onnx.load(path, load_external_data=False)
    for tensor in made.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(made.SerializeToString())


@pytest.mark.parametrize("location", ["/etc/hostname", "../outside", "nosuch", "linked", "folder"])
def test_weights_from_elsewhere_are_refused(tmp_path: Path, location: str) -> None:
    model = large(tmp_path / "model")
    (tmp_path / "outside").write_bytes(bytes(8000))
    (model.path / "linked").symlink_to(tmp_path / "outside")
    (model.path / "folder").mkdir()
    redirect(model, location)
    with pytest.raises(ConversionError, match=f"{location}', which is no regular file in the model's folder"):
        exported(Onnx(), model, tmp_path)


def no_onnx(path: Path) -> None:
    path.write_bytes(b"nonsense")


def invalid(path: Path) -> None:
    made = two_inputs()
    made.graph.node[0].input[0] = "nosuch"
    path.write_bytes(made.SerializeToString())


@pytest.mark.parametrize(("spoil", "told"), [(no_onnx, "is no ONNX file"), (invalid, "is no valid ONNX model")])
def test_a_spoilt_file_is_one_clear_line(tmp_path: Path, spoil: Any, told: str) -> None:  # noqa: ANN401
    model = saved_onnx(tmp_path / "model", two_inputs())
    spoil(model.path / "model.onnx")
    with pytest.raises(ConversionError, match=told) as caught:
        exported(Onnx(), model, tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConversionError, match="the original cannot answer"):
        answers(Onnx(), model, {})


def test_an_output_that_is_no_tensor_is_no_answer(tmp_path: Path) -> None:
    model = saved_onnx(tmp_path / "model", onnx.load(onnx_models.with_maps(onnx_models.mlp(tmp_path / "model.onnx"))))
    assert set(answers(Onnx(), model, {"x": np.ones((3, 16), np.float32)})) == {"y"}
    assert [spec.name for spec in exported(Onnx(), model, tmp_path).outputs] == ["y"]
