"""A graph in pieces gives what the whole one gives."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from fdpipe import graphs, pieces
from fdpipe.arrays import Batch
from tests import onnx_models
from tests.contracts.calibrator import texts, varying

IMAGES: Batch = {"x": np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)}
VECTORS: Batch = {"x": np.random.default_rng(0).normal(size=(5, 16)).astype(np.float32)}


def whole(path: Path, batch: Batch) -> dict[str, np.ndarray]:
    """Every float tensor, from one session."""
    session = graphs.open_inside_out(path)
    names = list(graphs.float_tensors(session))
    return dict(zip(names, session.run(names, dict(batch)), strict=True)) if names else {}


def check(path: Path, batch: Batch, nodes: int = 2) -> pieces.Pieces:
    """The pieces' floats and those that only reorder them are the whole graph's."""
    opened = pieces.opened(path, nodes)
    found = {name: np.array(array) for name, array in opened.floats(batch)}
    wanted = whole(path, batch)
    inputs = {name for name, array in batch.items() if array.dtype.kind == "f"}
    for name, other in opened.same.items():
        if other in found:
            ordered, same = (np.sort(each, axis=None) for each in (found[other], wanted[name]))
            np.testing.assert_allclose(ordered, same, rtol=1e-5, atol=1e-5)
            found.setdefault(name, wanted[name])
    assert found.keys() == wanted.keys() | inputs
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-5)
    return opened


@pytest.mark.parametrize("nodes", [1, 3, 100])
@pytest.mark.parametrize(
    ("make", "batch"),
    [
        (onnx_models.mlp, VECTORS),
        (lambda path: onnx_models.mlp(path, external=True), VECTORS),
        (lambda path: onnx_models.mlp(path, scaler=True), VECTORS),
        (lambda path: onnx_models.with_maps(onnx_models.mlp(path)), VECTORS),
        (onnx_models.conv, IMAGES),
        (onnx_models.two_inputs, {"a": np.eye(4, dtype=np.float32), "b": np.ones((4, 2), np.int64)}),
        (onnx_models.text, {"s": np.array([["yes"], ["what"]], object)}),
        (onnx_models.tree, {"x": np.eye(3, dtype=np.float32)}),
        (lambda path: varying(path.parent), texts(1)[0]),
    ],
)
def test_the_same_as_in_one(make: Callable[[Path], Path], batch: Batch, nodes: int, tmp_path: Path) -> None:
    check(make(tmp_path / "model.onnx"), batch, nodes)


@pytest.mark.parametrize("nodes", [1, 3, 100])
def test_large_weights_are_shared_by_the_pieces(tmp_path: Path, nodes: int) -> None:
    """One of 256 kB, read by two pieces."""
    weights = {"w": np.random.default_rng(1).normal(0, 0.1, (256, 256)).astype(np.float32)}
    products = [helper.make_node("MatMul", [f"t{number}" if number else "x", "w"], [f"t{number + 1}"]) for number in range(4)]
    inputs, outputs = ([onnx_models.value(name, onnx_models.FLOAT, "rows", 256)] for name in ("x", "t4"))
    path = onnx_models.save(tmp_path / "model.onnx", products, inputs, outputs, weights)
    opened = check(path, {"x": np.ones((2, 256), np.float32)}, nodes)
    assert len(opened.shared) == 1
    assert len(opened.pieces) == -(-4 // nodes)


@pytest.mark.parametrize("nodes", [1, 3, 100])
def test_constants_and_branches_read_what_lies_outside(tmp_path: Path, nodes: int) -> None:
    """The branches read `doubled`, made outside, and the constant, which is a node."""

    def branch(operator: str) -> onnx.GraphProto:
        node = helper.make_node(operator, ["doubled", "c"], [operator])
        return helper.make_graph([node], operator, [], [helper.make_tensor_value_info(operator, onnx_models.FLOAT, None)])

    constant = helper.make_tensor("value", onnx_models.FLOAT, [1], [3.0])
    graph = [
        helper.make_node("Constant", [], ["c"], value=constant),
        helper.make_node("Add", ["x", "x"], ["doubled"]),
        helper.make_node("Neg", ["x"], ["negative"]),
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "c"], ["large"]),
        helper.make_node("Squeeze", ["large"], ["condition"]),
        helper.make_node("If", ["condition"], ["chosen"], then_branch=branch("Add"), else_branch=branch("Mul")),
        helper.make_node("Add", ["chosen", "negative"], ["y"]),
    ]
    inputs, outputs = ([onnx_models.value(name, onnx_models.FLOAT, "rows", 4)] for name in ("x", "y"))
    path = onnx_models.save(tmp_path / "model.onnx", graph, inputs, outputs)
    for batch in (np.ones((2, 4), np.float32), -np.ones((2, 4), np.float32)):
        check(path, {"x": batch}, nodes)


@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_sequences_are_not_cut(tmp_path: Path, nodes: int) -> None:
    """What is no tensor cannot be handed from piece to piece."""
    graph = [
        helper.make_node("Add", ["x", "x"], ["doubled"]),
        helper.make_node("SequenceConstruct", ["x", "doubled"], ["both"]),
        helper.make_node("Neg", ["x"], ["negative"]),
        helper.make_node("ConcatFromSequence", ["both"], ["joined"], axis=1),
        helper.make_node("Relu", ["joined"], ["y"]),
    ]
    inputs = [onnx_models.value("x", onnx_models.FLOAT, "rows", 4)]
    outputs = [
        onnx_models.value("y", onnx_models.FLOAT, "rows", 8),
        onnx_models.value("negative", onnx_models.FLOAT, "rows", 4),
    ]
    path = onnx_models.save(tmp_path / "model.onnx", graph, inputs, outputs)
    check(path, {"x": np.ones((2, 4), np.float32)}, nodes)


def test_half_floats(tmp_path: Path) -> None:
    half = TensorProto.FLOAT16
    nodes = [helper.make_node("Add", ["x", "x"], ["a"]), helper.make_node("Identity", ["a"], ["b"])]
    nodes += [helper.make_node("Cast", ["b"], ["y"], to=TensorProto.DOUBLE)]
    inputs, outputs = [onnx_models.value("x", half, "rows", 3)], [onnx_models.value("y", TensorProto.DOUBLE, "rows", 3)]
    opened = check(onnx_models.save(tmp_path / "model.onnx", nodes, inputs, outputs), {"x": np.ones((2, 3), np.float16)})
    assert opened.same == {"b": "a"}


def test_what_reorders_a_weight_is_looked_at(tmp_path: Path) -> None:
    nodes = [helper.make_node("Transpose", ["w"], ["turned"]), helper.make_node("MatMul", ["x", "turned"], ["y"])]
    inputs, outputs = (
        [onnx_models.value("x", onnx_models.FLOAT, "rows", 4)],
        [onnx_models.value("y", onnx_models.FLOAT, "rows", 4)],
    )
    path = onnx_models.save(tmp_path / "model.onnx", nodes, inputs, outputs, {"w": np.eye(4, dtype=np.float32)})
    assert check(path, {"x": np.ones((2, 4), np.float32)}).same == {}


def test_each_piece_is_on_one_thread(tmp_path: Path) -> None:
    opened = pieces.opened(onnx_models.mlp(tmp_path / "model.onnx"))
    assert {piece.session.get_session_options().intra_op_num_threads for piece in opened.pieces} == {1}
    assert all(isinstance(piece.session, onnxruntime.InferenceSession) for piece in opened.pieces)
