"""ONNX as it was registered."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel, Task, TensorSpec
from fdpipe.converter.onnx import Onnx
from fdpipe.errors import ConversionError, NotApplicable
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


@pytest.mark.parametrize(
    "location",
    [
        "/etc/hostname",
        "../outside",
        "folder/../../outside",
        "nosuch",
        "linked",
        "folder",
        "through/outside",
        "",
        "*/_ORT_MEM_ADDR_/*",
    ],
)
def test_weights_from_elsewhere_are_refused(tmp_path: Path, location: str) -> None:
    model = large(tmp_path / "model")
    (tmp_path / "outside").write_bytes(bytes(8000))
    (model.path / "linked").symlink_to(tmp_path / "outside")
    (model.path / "through").symlink_to(tmp_path)
    (model.path / "folder").mkdir()
    odd = model.path / "*" / "_ORT_MEM_ADDR_"
    odd.mkdir(parents=True)
    (odd / "*").write_bytes(bytes(8000))
    redirect(model, location)
    told = f"keeps weights in '{re.escape(location)}', which is no regular file in the model's folder"
    with pytest.raises(ConversionError, match=told):
        exported(Onnx(), model, tmp_path)


def test_weights_under_another_name_are_refused(tmp_path: Path) -> None:
    model = large(tmp_path / "model")
    redirect(model, "weights")
    (tmp_path / "outside").write_bytes(bytes(8000))
    os.link(tmp_path / "outside", model.path / "weights")
    with pytest.raises(ConversionError, match="'weights', which is a hard link"):
        exported(Onnx(), model, tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"offset": "7000"}, "from beyond the end of 'weights', of 8000 bytes"),
        ({"length": "9000"}, "from beyond the end of 'weights', of 8000 bytes"),
        ({"length": "4000"}, r"4000 bytes for 'w', whose shape \(1000, 2\) asks for 8000"),
        ({"offset": "-8"}, "the offset '-8': it must be a whole number"),
        ({"location": "model.onnx"}, "keeps weights in itself"),
    ],
)
def test_weights_that_are_not_where_they_should_be(tmp_path: Path, change: dict[str, str], told: str) -> None:
    made = two_inputs(weights=1000)
    entries = {"location": "weights", "offset": "0", "length": "8000"} | change
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.extend(onnx.StringStringEntryProto(key=key, value=value) for key, value in entries.items())
    model = saved_onnx(tmp_path / "model", two_inputs())
    (model.path / "weights").write_bytes(bytes(8000))
    (model.path / "model.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(ConversionError, match=told):
        exported(Onnx(), model, tmp_path)


def outside_tensor() -> onnx.TensorProto:
    tensor = onnx.TensorProto(
        name="planted", data_type=onnx.TensorProto.FLOAT, dims=[2], data_location=onnx.TensorProto.EXTERNAL
    )
    tensor.external_data.add(key="location", value="/etc/hostname")
    return tensor


def in_an_attribute(model: onnx.ModelProto) -> None:
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["c"], value=outside_tensor()))


def in_a_subgraph(model: onnx.ModelProto) -> None:
    inner = onnx.helper.make_graph([], "inner", [], [], initializer=[outside_tensor()])
    model.graph.node.append(onnx.helper.make_node("If", ["b"], ["c"], then_branch=inner, else_branch=inner))


def in_a_sparse_tensor(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.append(onnx.SparseTensorProto(values=outside_tensor()))


def in_a_function(model: onnx.ModelProto) -> None:
    constant = onnx.helper.make_node("Constant", [], ["c"], value=outside_tensor())
    model.functions.append(onnx.helper.make_function("own", "F", [], ["c"], [constant], model.opset_import))


@pytest.mark.parametrize("plant", [in_an_attribute, in_a_subgraph, in_a_sparse_tensor, in_a_function])
def test_weights_from_elsewhere_are_refused_wherever_they_are(tmp_path: Path, plant: Any) -> None:  # noqa: ANN401
    model = saved_onnx(tmp_path / "model", two_inputs())
    made = two_inputs()
    plant(made)
    (model.path / "model.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(ConversionError, match="keeps weights in '/etc/hostname'"):
        exported(Onnx(), model, tmp_path)


def test_a_shape_without_the_values_is_refused(tmp_path: Path) -> None:
    model = saved_onnx(tmp_path / "model", two_inputs())
    made = two_inputs()
    made.graph.initializer.append(onnx.TensorProto(name="huge", data_type=1, dims=[2**31, 2**31]))
    (model.path / "model.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(ConversionError, match=r"has 0 values for 'huge', whose shape \(2147483648, 2147483648\)"):
        exported(Onnx(), model, tmp_path)


def test_an_operator_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    made = two_inputs()
    made.graph.node[1].domain = "our.company"
    made.opset_import.append(onnx.helper.make_opsetid("our.company", 1))
    model = saved_onnx(tmp_path / "model", two_inputs())
    (model.path / "model.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(ConversionError, match=r"uses our\.company:Add, an operator that ONNX Runtime has not") as caught:
        exported(Onnx(), model, tmp_path)
    assert "\n" not in str(caught.value)


def old(opset: int = 11) -> onnx.ModelProto:
    """A model of 2019: initializers among the inputs, and a Softmax that means something else today."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["xw"]),
        helper.make_node("Softmax", ["xw"], ["s"], axis=1),
        helper.make_node("Squeeze", ["s"], ["y"], axes=[2]),
    ]
    w = numpy_helper.from_array(np.arange(3, dtype=np.float32).reshape(3, 1), "w")
    inputs = [
        helper.make_tensor_value_info(*one) for one in (("x", TensorProto.FLOAT, ["n", 4, 3]), ("w", TensorProto.FLOAT, [3, 1]))
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])]
    graph = helper.make_graph(nodes, "old", inputs, outputs, [w])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=3)


@pytest.mark.parametrize(("setting", "opset", "version"), [(17, 17, 8), (0, 11, 8)])
def test_old_models_are_raised_and_answer_alike(tmp_path: Path, setting: int, opset: int, version: int) -> None:
    model = saved_onnx(tmp_path / "model", old())
    batch = {"x": np.random.default_rng(0).normal(size=(6, 4, 3)).astype(np.float32)}
    export = exported(Onnx(opset=setting), model, tmp_path)
    made = onnx.load(export.path)
    assert (made.opset_import[0].version, made.ir_version) == (opset, version)
    assert [value.name for value in made.graph.input] == ["x"]
    np.testing.assert_allclose(ask(export.path, batch)["y"], answers(Onnx(), model, batch)["y"], rtol=1e-6)


def test_what_cannot_be_raised_stays_as_it_is(tmp_path: Path) -> None:
    made = two_inputs()
    made.opset_import[0].version = 13
    made.opset_import.append(onnx.helper.make_opsetid("own", 1))
    inner = [onnx.helper.make_node("Neg", ["a"], ["b"])]
    made.functions.append(onnx.helper.make_function("own", "F", ["a"], ["b"], inner, [onnx.helper.make_opsetid("", 13)]))
    made.graph.node.append(onnx.helper.make_node("F", ["y"], ["z"], domain="own"))
    made.graph.output.append(onnx.helper.make_tensor_value_info("z", 1, ["n", 2]))
    model = saved_onnx(tmp_path / "model", made)
    export = exported(Onnx(), model, tmp_path)  # onnx's converter drops functions
    assert export.path.read_bytes() == (model.path / "model.onnx").read_bytes()


def test_a_newer_file_format_is_lowered(tmp_path: Path) -> None:
    made = two_inputs()
    made.ir_version = 13
    assert onnx.load(exported(Onnx(), saved_onnx(tmp_path / "model", made), tmp_path).path).ir_version == 10


def test_there_is_no_other_precision(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="stays as it is"):
        exported(Onnx(), saved_onnx(tmp_path / "model", two_inputs()), tmp_path, Precision.FLOAT64)


def test_opset_has_limits() -> None:
    with pytest.raises(ValueError, match="opset must be 0 or from 13 to 25"):
        Onnx(opset=7)


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
    with pytest.raises(ConversionError, match=r"the original cannot answer|is no ONNX file"):
        answers(Onnx(), model, {})


def test_an_output_that_is_no_tensor_is_no_answer(tmp_path: Path) -> None:
    model = saved_onnx(tmp_path / "model", onnx.load(onnx_models.with_maps(onnx_models.mlp(tmp_path / "model.onnx"))))
    assert set(answers(Onnx(), model, {"x": np.ones((3, 16), np.float32)})) == {"y"}
    assert [spec.name for spec in exported(Onnx(), model, tmp_path).outputs] == ["y"]
