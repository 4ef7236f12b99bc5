"""Which nodes a quantizer would change."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fdpipe.interfaces import Calibration
from fdpipe.passes.int8_dynamic import Int8Dynamic
from fdpipe.sensitivity.spots import Spot, constants, find, untouched
from tests import onnx_models

FLOAT = TensorProto.FLOAT


def spots(path: Path) -> dict[str, Spot]:
    model = onnx.load(path)
    names = {name for node in model.graph.node for name in (*node.input, *node.output)}
    return {spot.output: spot for spot in find(model, names)}


def test_products_in_the_order_of_the_graph(tmp_path: Path) -> None:
    found = spots(onnx_models.mlp(tmp_path / "model.onnx"))
    assert list(found) == ["m0", "m1", "m2"]
    assert (found["m1"].activations, found["m1"].weights, found["m1"].number) == (("r0",), {"w1": -1}, 3)


def test_convolutions_take_what_is_between_them_along(tmp_path: Path) -> None:
    found = spots(onnx_models.conv(tmp_path / "model.onnx"))
    assert list(found) == ["conv0", "conv1", "sum", "mean", "y"]
    assert found["conv1"].weights == {"k1": 0}
    assert found["sum"].activations == ("conv1", "pool")
    assert found["y"].weights == {"w": -1}


def transformer(path: Path) -> Path:
    """Two tables' rows, added; their products with themselves, and with a weight that is transposed first; a bias."""
    nodes = [
        helper.make_node("Gather", ["words", "ids"], ["word"]),
        helper.make_node("Gather", ["places", "ids"], ["place"]),
        helper.make_node("Add", ["word", "place"], ["sum"]),
        helper.make_node("Transpose", ["sum"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["sum", "turned"], ["scores"]),
        helper.make_node("MatMul", ["scores", "sum"], ["mixed"]),
        helper.make_node("Transpose", ["w"], ["w_turned"]),
        helper.make_node("MatMul", ["mixed", "w_turned"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["y"]),
        helper.make_node("Gather", ["ids", "first"], ["id"], axis=1),
    ]
    shapes = {"words": (20, 8), "places": (20, 8), "w": (4, 8), "b": (4,)}
    random = np.random.default_rng(0)
    weights = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    weights["first"] = np.array([0])
    inputs = [onnx_models.value("ids", TensorProto.INT64, "rows", "words_in_a_row")]
    outputs = [
        onnx_models.value("y", FLOAT, "rows", "words_in_a_row", 4),
        onnx_models.value("id", TensorProto.INT64, "rows", 1),
    ]
    return onnx_models.save(path, nodes, inputs, outputs, weights)


def test_without_convolutions_sums_and_biases_are_left_alone(tmp_path: Path) -> None:
    found = spots(transformer(tmp_path / "model.onnx"))
    assert list(found) == ["word", "place", "scores", "mixed", "m"]
    assert found["scores"].activations == ("sum", "turned")
    assert (found["word"].activations, found["word"].weights) == ((), {"words": 0})
    assert (found["m"].activations, found["m"].weights) == (("mixed",), {"w_turned": -1})


def test_what_is_computed_from_weights_alone_is_constant(tmp_path: Path) -> None:
    assert constants(onnx.load(transformer(tmp_path / "model.onnx"))) == {"words", "places", "w", "b", "first", "w_turned"}


def test_tensors_that_are_no_floats_are_left_alone(tmp_path: Path) -> None:
    model = onnx.load(onnx_models.two_inputs(tmp_path / "model.onnx"))
    assert find(model, {"w"}) == []


@pytest.mark.parametrize(("turned", "axis"), [(0, -1), (1, -2)])
def test_a_turned_weight_has_its_channels_first(tmp_path: Path, turned: int, axis: int) -> None:
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y"], transB=turned)]
    shapes = [onnx_models.value("x", FLOAT, "rows", 4), onnx_models.value("y", FLOAT, "rows", 4)]
    path = onnx_models.save(tmp_path / "m.onnx", nodes, shapes[:1], shapes[1:], {"w": np.eye(4, dtype=np.float32)})
    assert spots(path)["y"].weights == {"w": axis}


def test_a_quantizer_leaves_some_nodes_as_they_were(tmp_path: Path) -> None:
    """Those that it is told to, products of two activations, and tables."""
    source, target = onnx_models.mlp(tmp_path / "mlp.onnx"), tmp_path / "int8.onnx"
    Int8Dynamic(exclude=("m1",)).apply(source, target, Calibration())
    assert set(spots(source)) & untouched(source, target) == {"m1"}
    source = transformer(tmp_path / "transformer.onnx")
    Int8Dynamic().apply(source, target, Calibration())
    assert set(spots(source)) <= untouched(source, target)
