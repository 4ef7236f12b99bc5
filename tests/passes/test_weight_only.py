"""Weights in few bits."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from fdpipe import graphs
from fdpipe.errors import NotApplicable
from fdpipe.passes.fuse import Fuse, Level
from fdpipe.passes.weight_only import Products, WeightOnly, blocks
from fdpipe.runtime.onnxruntime import OnnxRuntime
from tests import onnx_models
from tests.contracts.passes import ROWS, PassContract, answers, done
from tests.contracts.settings import built


class TestInt8Weights(PassContract):
    tolerance = 0.05

    @pytest.fixture(
        params=[
            WeightOnly(smallest=1), WeightOnly(smallest=1, symmetric=False, block_size=16),
            WeightOnly(smallest=1, products=Products.FLOAT32),
        ]
    )  # fmt: skip
    def one(self, request: pytest.FixtureRequest) -> WeightOnly:
        found: WeightOnly = request.param
        return found


class TestInt4Weights(PassContract):
    tolerance = 1.0

    @pytest.fixture(params=[True, False])
    def one(self, request: pytest.FixtureRequest) -> WeightOnly:
        return WeightOnly(bits=4, symmetric=request.param, smallest=1)


def test_its_files_build() -> None:
    assert built("passes", "int8_weights") == WeightOnly(block_size=128)
    assert built("passes", "int4_weights") == WeightOnly(bits=4, symmetric=False)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_weight_is_at_most_half_a_step_off(bits: int, symmetric: bool) -> None:
    """Read back by numpy, and not by the library that uses it; the end of a symmetric block may be one step off."""
    weights = np.random.default_rng(3).normal(size=(5, 40)).astype(np.float32)
    packed, scales, zeros = blocks(weights, bits, 16, symmetric=symmetric)
    numbers = packed if bits == 8 else np.stack([packed & 15, packed >> 4], -1).reshape(5, 3, 16)
    if zeros is None:
        middle = np.full((5, 3), 2 ** (bits - 1))
    elif bits == 8:
        middle = zeros.reshape(5, 3)
    else:
        halves = zeros.reshape(5, 2)
        middle = np.stack([halves & 15, halves >> 4], -1).reshape(5, 4)[:, :3]
    steps = scales.reshape(5, 3, 1)
    read = ((numbers.astype(int) - middle[..., None]) * steps).reshape(5, 48)[:, :40]
    widest = np.repeat(np.abs(steps[..., 0]), 16, 1)[:, :40]
    assert (np.abs(read - weights) <= widest * (1.0 if symmetric else 0.51)).all()


def test_a_block_of_zeros_stays_zero() -> None:
    packed, scales, _ = blocks(np.zeros((1, 16), np.float32), 8, 16, symmetric=True)
    assert (packed == 128).all()
    assert not scales.any()


def test_an_answer_does_not_depend_on_its_batch_mates(tmp_path: Path) -> None:
    """Which is what dynamic INT8 with one scale for the batch cannot say."""
    target = done(WeightOnly(smallest=1), onnx_models.mlp(tmp_path / "in" / "model.onnx"), tmp_path / "out" / "model.onnx")
    beside = ROWS[:8].copy()
    beside[1] *= 100
    np.testing.assert_allclose(answers(target, beside)[0], answers(target, ROWS[:1])[0], atol=1e-5)


@pytest.mark.parametrize("transposed", [0, 1])
def test_a_gemm_keeps_its_bias(tmp_path: Path, transposed: int) -> None:
    source = onnx_models.mlp(tmp_path / "in" / "model.onnx")
    fused = done(Fuse(level=Level.BASIC), source, tmp_path / "fused" / "model.onnx")
    model = onnx.load(fused)
    if transposed:
        for node in model.graph.node:
            if node.op_type == "Gemm":
                tensor = next(one for one in model.graph.initializer if one.name == node.input[1])
                tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).T.copy(), tensor.name))
                del node.attribute[:]
                node.attribute.append(onnx.helper.make_attribute("transB", 1))
        onnx.save(model, fused)
    target = done(WeightOnly(smallest=1), fused, tmp_path / "out" / "model.onnx")
    assert "Gemm" not in graphs.operators(target)
    assert graphs.operators(target).count("MatMulNBits") == 3
    assert np.abs(answers(target) - answers(source)).max() < 0.05


def test_excluded_nodes_small_weights_and_products_of_activations_stay(tmp_path: Path) -> None:
    source = onnx_models.transformer(tmp_path / "in" / "model.onnx")
    target = done(WeightOnly(smallest=256, exclude=("q_product",)), source, tmp_path / "out" / "model.onnx")
    kept = [node.output[0] for node in onnx.load(target).graph.node if node.op_type == "MatMul"]
    assert kept == ["q_product", "product", "weighted"]
    rows = onnx_models.transformer_rows()
    found, exact = (OnnxRuntime().open(onnx_models.artifact(path), {}).run(rows)["y"] for path in (target, source))
    assert np.abs(found - exact).max() < 0.1


def test_nothing_large_enough(tmp_path: Path) -> None:
    source = onnx_models.mlp(tmp_path / "in" / "model.onnx")
    with pytest.raises(NotApplicable, match="no MatMul or Gemm with 100000 constant weights"):
        done(WeightOnly(smallest=100000), source, tmp_path / "out" / "model.onnx")


def test_an_unknown_node_is_named(tmp_path: Path) -> None:
    source = onnx_models.mlp(tmp_path / "model.onnx")
    with pytest.raises(NotApplicable, match=r"^exclude names 'nosuch', which is the first output of no node of this graph$"):
        WeightOnly(exclude=("m0", "nosuch")).requires(source)


@pytest.mark.parametrize(
    ("settings", "told"), [({"bits": 3}, "bits"), ({"block_size": 48}, "power of 2"), ({"smallest": -1}, "small")]
)
def test_settings_out_of_range(settings: dict[str, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        WeightOnly(**settings)  # type: ignore[arg-type]
