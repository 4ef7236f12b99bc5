"""What converters by a library's own exporter share."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fdpipe.artifacts import SourceModel, Task, TensorSpec
from fdpipe.converter._exported import BATCH, finished, given, in_parts, one_line, settle, words
from fdpipe.errors import ConversionError
from tests.contracts.converter import ask
from tests.models import ref_of, two_inputs


def test_names_become_words_that_differ() -> None:
    assert words(["serving_default_x:0", "a/b.c"], ["x", "a/b.c", ":0"]) == (
        ("serving_default_x", "a_b_c"),
        ("x", "a_b_c_2", "output"),
    )
    assert words(["", ""], ["y:0", "y:1", "y"]) == (("input", "input_2"), ("y", "y_2", "y_3"))


def counted(first: str, second: str) -> Any:  # noqa: ANN401 - a ModelProto
    """x · 2 + 1, its inner names ending in two counts."""
    nodes = [
        helper.make_node("Mul", ["x", f"two__{first}"], [f"mid__{second}"], name=f"mul__{second}"),
        helper.make_node("Add", [f"mid__{second}", f"one__{second}"], ["y"], name="add"),
    ]
    constants = [
        numpy_helper.from_array(np.array(value, np.float32), name)
        for name, value in sorted([(f"two__{first}", 2), (f"one__{second}", 1)])
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "xy"]
    return helper.make_model(helper.make_graph(nodes, "counted", ends[:1], ends[1:], constants), ir_version=9)


def test_counts_in_names_do_not_show() -> None:
    one, other = counted("7", "31"), counted("40", "5")
    for model in (one, other):
        settle(model, re.compile(r"__\d+$"))
    assert one.SerializeToString() == other.SerializeToString()
    assert one.graph.node[1].name == "add"
    onnx.checker.check_model(one)


def test_the_graph_gets_its_names_its_rows_and_their_order(tmp_path: Path) -> None:
    export = finished(two_inputs(), tmp_path, {"b": "second", "a": "first"}, {"y": "value"})
    assert export.inputs == (
        TensorSpec(name="second", dtype="float32", shape=("rows", 2)),
        TensorSpec(name="first", dtype="float32", shape=("rows", 3)),
    )
    assert export.outputs == (TensorSpec(name="value", dtype="float32", shape=("rows", 2)),)
    assert export.task is Task.REGRESSION


@pytest.mark.parametrize(
    ("names", "task"),
    [("label", Task.CLASSIFICATION), ("value", Task.REGRESSION), ("scores", Task.TENSORS), ("probabilities", Task.TENSORS)],
)
def test_outputs_names_say_the_task(tmp_path: Path, names: str, task: Task) -> None:
    assert finished(two_inputs(), tmp_path, {"a": "a", "b": "b"}, {"y": names}).task is task


def test_an_inner_value_gives_way_to_a_new_name(tmp_path: Path) -> None:
    batch = {"a": np.ones((2, 3), np.float32), "b": np.ones((2, 2), np.float32)}
    before = finished(two_inputs(), tmp_path, {"a": "a", "b": "b"}, {"y": "y"})
    expected = ask(before.path, batch)["y"]
    after = finished(two_inputs(), tmp_path, {"a": "w", "b": "b"}, {"y": "aw"})
    np.testing.assert_array_equal(ask(after.path, {"w": batch["a"], "b": batch["b"]})["aw"], expected)


def test_a_branch_sees_the_new_names(tmp_path: Path) -> None:
    """The bodies of loops and branches use values of the graph around them."""
    inside = [
        helper.make_graph(
            [helper.make_node("Identity" if keep else "Neg", ["x"], ["out"])],
            "keep" if keep else "turn",
            [],
            [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 2])],
        )
        for keep in (True, False)
    ]
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["sum"], ["flag"], to=TensorProto.BOOL),
        helper.make_node("If", ["flag"], ["y"], then_branch=inside[0], else_branch=inside[1]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "xy"]
    model = helper.make_model(
        helper.make_graph(nodes, "branch", ends[:1], ends[1:]), opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )
    export = finished(model, tmp_path, {"x": "out"}, {"y": "flag"})
    assert ask(export.path, {"out": np.ones((3, 2), np.float32)})["flag"].tolist() == [[1, 1]] * 3


def test_an_output_without_rows_is_refused(tmp_path: Path) -> None:
    made = two_inputs()
    made.graph.node.append(helper.make_node("ReduceSum", ["y"], ["total"], keepdims=0))
    made.graph.output.append(helper.make_tensor_value_info("total", TensorProto.FLOAT, []))
    with pytest.raises(ConversionError, match="'total' has no axis of rows"):
        finished(made, tmp_path, {"a": "a", "b": "b"}, {"y": "y", "total": "total"})


def test_a_shape_that_the_exporter_left_out_is_inferred(tmp_path: Path) -> None:
    made = two_inputs()
    made.graph.output[0].type.tensor_type.ClearField("shape")
    export = finished(made, tmp_path, {"a": "a", "b": "b"}, {"y": "y"})
    assert export.outputs == (TensorSpec(name="y", dtype="float32", shape=("rows", 2)),)


def test_what_was_left_out_or_does_not_open_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="the exporter left out 'z': the graph has a, b"):
        finished(two_inputs(), tmp_path, {"a": "a", "b": "b", "c": "z"}, {"y": "y"})
    made = two_inputs()
    made.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(ConversionError, match="ONNX Runtime cannot open the export") as caught:
        finished(made, tmp_path, {"a": "a", "b": "b"}, {"y": "y"})
    assert "\n" not in str(caught.value)


def source(folder: Path, *specs: TensorSpec, columns: bool = False) -> SourceModel:
    folder.mkdir(exist_ok=True)
    return SourceModel(
        ref=ref_of(folder), flavour="x", serialization="x", inputs=specs, outputs=(), columns=columns, path=folder, digest=""
    )


def test_features_are_taken_by_name_alone_or_as_columns(tmp_path: Path) -> None:
    spec = TensorSpec(name="pixels", dtype="float64", shape=("rows", 2))
    model = source(tmp_path / "model", spec)
    array = np.ones((3, 2))
    (found,) = given(model, {"pixels": array}, ["x"], ["float32"])
    assert found.dtype == np.float32
    (found,) = given(replace(model, inputs=()), {"x": array}, ["x"], ["float32"])
    assert found.shape == (3, 2)
    columns = source(tmp_path / "model", *(replace(spec, name=name, shape=("rows",)) for name in "ab"), columns=True)
    (found,) = given(columns, {"a": np.array([1.0, 2]), "b": np.array([3.0, 4])}, ["x"], ["float32"])
    assert found.tolist() == [[1, 3], [2, 4]]
    both = source(tmp_path / "model", spec, replace(spec, name="other"))
    with pytest.raises(ConversionError, match="'x' is no input of the signature: the model takes x, y"):
        given(both, {"pixels": array, "other": array}, ["x", "y"], ["float32", "float32"])
    with pytest.raises(ConversionError, match=r"the original cannot answer: pixels must be int64"):
        given(model, {"pixels": array + 0.5}, ["x"], ["int64"])


def test_many_rows_are_asked_in_parts() -> None:
    sizes: list[int] = []

    def double(batch: Any) -> Any:  # noqa: ANN401 - arrays by name
        sizes.append(len(batch["x"]))
        return {"y": batch["x"] * 2}

    assert in_parts({"x": np.arange(BATCH + 3)}, double)["y"].tolist() == list(range(0, 2 * BATCH + 6, 2))
    assert in_parts({"x": np.arange(0)}, double)["y"].tolist() == []
    assert sizes == [BATCH, 3, 0]


def test_an_error_without_words_is_named() -> None:
    assert one_line(ValueError()) == "ValueError"
    assert one_line(ValueError("two\nlines")) == "two lines"
