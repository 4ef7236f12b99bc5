"""Dynamic INT8."""

from pathlib import Path

import pytest
from onnx import helper

from fdpipe import graphs
from fdpipe.errors import NotApplicable
from fdpipe.passes.fuse import Fuse, Level
from fdpipe.passes.int8_dynamic import Int8Dynamic
from tests import onnx_models
from tests.contracts.passes import PassContract, done
from tests.contracts.settings import built


class TestInt8Dynamic(PassContract):
    tolerance = 0.1

    @pytest.fixture(params=[True, False])
    def one(self, request: pytest.FixtureRequest) -> Int8Dynamic:
        return Int8Dynamic(per_channel=request.param)


def test_its_file_builds() -> None:
    assert built("passes", "int8_dynamic") == Int8Dynamic()


def test_weights_take_a_quarter(tmp_path: Path) -> None:
    source = onnx_models.mlp(tmp_path / "in" / "model.onnx")
    target = done(Int8Dynamic(), source, tmp_path / "out" / "model.onnx")
    assert target.stat().st_size < source.stat().st_size / 2


def test_quantizes_what_fuse_made_of_products_and_sums(tmp_path: Path) -> None:
    fused = done(
        Fuse(level=Level.BASIC), onnx_models.mlp(tmp_path / "in" / "model.onnx", scaler=True), tmp_path / "f" / "m.onnx"
    )
    target = done(Int8Dynamic(), fused, tmp_path / "out" / "model.onnx")
    assert graphs.operators(target).count("MatMulInteger") == 3


def test_leaves_convolutions_alone(tmp_path: Path) -> None:
    target = done(Int8Dynamic(), onnx_models.conv(tmp_path / "in" / "model.onnx"), tmp_path / "out" / "model.onnx")
    assert graphs.operators(target).count("Conv") == 2
    assert "ConvInteger" not in graphs.operators(target)


def test_a_product_of_two_inputs_is_not_enough(tmp_path: Path) -> None:
    product = helper.make_node("MatMul", ["a", "b"], ["y"])
    inputs = [onnx_models.value(name, onnx_models.FLOAT, 4, 4) for name in "ab"]
    source = onnx_models.save(tmp_path / "model.onnx", [product], inputs, [onnx_models.value("y", onnx_models.FLOAT, 4, 4)])
    with pytest.raises(NotApplicable, match="constant weights"):
        done(Int8Dynamic(), source, tmp_path / "out" / "model.onnx")


@pytest.mark.parametrize("fused", [True, False])
def test_excluded_nodes_stay_in_float(tmp_path: Path, fused: bool) -> None:
    """Also a Gemm, which the quantizer takes apart."""
    source = onnx_models.mlp(tmp_path / "in" / "model.onnx")
    given = done(Fuse(level=Level.BASIC), source, tmp_path / "fused" / "model.onnx") if fused else source
    name = "a1" if fused else "m1"
    target = done(Int8Dynamic(exclude=(name,)), given, tmp_path / "out" / "model.onnx")
    found = graphs.operators(target)
    assert (found.count("MatMulInteger"), found.count("MatMul")) == (2, 1)


def test_an_unknown_node_is_named(tmp_path: Path) -> None:
    source = onnx_models.mlp(tmp_path / "model.onnx")
    with pytest.raises(NotApplicable, match=r"^exclude names 'nosuch', which is the first output of no node of this graph$"):
        Int8Dynamic(exclude=("m0", "nosuch")).requires(source)
