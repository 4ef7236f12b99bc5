"""Float16."""

import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

from fdpipe.passes.float16 import Float16
from tests import onnx_models
from tests.contracts.passes import PassContract, done
from tests.contracts.settings import built


class TestFloat16(PassContract):
    tolerance = 0.02

    @pytest.fixture(params=[Float16(), Float16(block=("Relu",))])
    def one(self, request: pytest.FixtureRequest) -> Float16:
        found: Float16 = request.param
        return found


def test_its_file_builds() -> None:
    assert built("passes", "float16") == Float16()


def types_read(path: Path, operator: str) -> set[int]:
    """The types of what nodes with this operator read."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    types |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    return {types[name] for node in model.graph.node if node.op_type == operator for name in node.input}


def test_products_are_of_halves_and_blocked_operators_of_floats(tmp_path: Path) -> None:
    source = onnx_models.transformer(tmp_path / "in" / "model.onnx")
    target = done(Float16(), source, tmp_path / "out" / "model.onnx")
    assert types_read(target, "MatMul") == {TensorProto.FLOAT16}
    assert types_read(target, "Softmax") == types_read(target, "LayerNormalization") == {TensorProto.FLOAT}


def test_weights_take_half(tmp_path: Path) -> None:
    source = onnx_models.mlp(tmp_path / "in" / "model.onnx")
    target = done(Float16(), source, tmp_path / "out" / "model.onnx")
    assert target.stat().st_size < source.stat().st_size * 0.6


def test_the_converter_leaves_the_path_as_it_was(tmp_path: Path) -> None:
    before = list(sys.path)
    done(Float16(), onnx_models.mlp(tmp_path / "in" / "model.onnx"), tmp_path / "out" / "model.onnx")
    assert sys.path == before
