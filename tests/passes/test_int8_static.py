"""Static INT8."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from fdpipe import graphs
from fdpipe.arrays import Batch
from fdpipe.artifacts import Ranges
from fdpipe.calibrator.minmax import MinMax
from fdpipe.errors import NotApplicable, StageError
from fdpipe.interfaces import Calibration
from fdpipe.passes.fuse import Fuse, Level
from fdpipe.passes.int8_static import Form, Int8Static, Integers
from tests import onnx_models
from tests.contracts.passes import PassContract, answers, calibrated, done, ranges_of
from tests.contracts.settings import built


class TestInt8Static(PassContract):
    tolerance = 0.15

    @pytest.fixture(
        params=[
            Int8Static(), Int8Static(per_channel=False), Int8Static(reduce_range=True), Int8Static(activations=Integers.INT8),
            Int8Static(form=Form.OPERATORS),
        ]
    )  # fmt: skip
    def one(self, request: pytest.FixtureRequest) -> Int8Static:
        found: Int8Static = request.param
        return found


def test_its_file_builds() -> None:
    assert built("passes", "int8_static") == Int8Static()


def weights_of(path: Path) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def test_weights_are_symmetric_int8_per_channel_and_activations_uint8(tmp_path: Path) -> None:
    weights = weights_of(done(Int8Static(), onnx_models.mlp(tmp_path / "in" / "m.onnx"), tmp_path / "out" / "model.onnx"))
    assert weights["w0_quantized"].dtype == np.int8
    assert weights["w0_scale"].shape == (64,)
    assert not weights["w0_zero_point"].any()
    assert weights["x_zero_point"].dtype == np.uint8


def test_reduce_range_leaves_weights_seven_bits(tmp_path: Path) -> None:
    source = onnx_models.mlp(tmp_path / "in" / "m.onnx")
    weights = weights_of(done(Int8Static(reduce_range=True), source, tmp_path / "out" / "model.onnx"))
    assert np.abs(weights["w0_quantized"]).max() <= 64


def test_scales_come_from_the_ranges(tmp_path: Path) -> None:
    source, target = onnx_models.mlp(tmp_path / "m.onnx"), tmp_path / "out.onnx"
    ranges = ranges_of(source)
    Int8Static().apply(source, target, Calibration(ranges=replace(ranges, values={**ranges.values, "x": (-1.0, 4.1)})))
    weights = weights_of(target)
    np.testing.assert_allclose(weights["x_scale"], 5.1 / 255, rtol=1e-6)
    assert weights["x_zero_point"] == 50
    assert np.abs(answers(target) - answers(source)).max() > 0.2


def test_the_last_layer_answers_in_float(tmp_path: Path) -> None:
    target = done(Int8Static(), onnx_models.mlp(tmp_path / "in" / "m.onnx"), tmp_path / "out" / "model.onnx")
    assert len(np.unique(answers(target))) > 256


def test_a_fused_bias_of_shape_1_n_is_quantized_too(tmp_path: Path) -> None:
    """As scikit-learn's models have it behind their scaler; the quantizer of ONNX Runtime fails on it as it is."""
    source = onnx_models.mlp(tmp_path / "in" / "model.onnx", scaler=True)
    fused = done(Fuse(level=Level.BASIC), source, tmp_path / "fused" / "model.onnx")
    target = done(Int8Static(), fused, tmp_path / "out" / "model.onnx")
    assert weights_of(target)["b0_quantized"].dtype == np.int32
    assert np.abs(answers(target) - answers(source)).max() < 0.15


def test_a_convolutional_network_is_quantized_end_to_end(tmp_path: Path) -> None:
    source, target = onnx_models.conv(tmp_path / "m.onnx"), tmp_path / "out.onnx"
    images = np.random.default_rng(2).normal(size=(32, 3, 8, 8)).astype(np.float32)
    Int8Static().apply(source, target, calibrated(source, images))
    Int8Static().ensures(source, target)
    nodes = onnx.load(target).graph.node
    makers = {name: node.op_type for node in nodes for name in node.output}
    for node in nodes:
        if node.op_type in ("Conv", "Add", "GlobalAveragePool", "Gemm"):
            assert {makers[name] for name in node.input} == {"DequantizeLinear"}
    exact, found = answers(source, images), answers(target, images)
    assert np.abs(found - exact).max() < 0.05 * np.abs(exact).max()


def test_two_inputs(tmp_path: Path) -> None:
    source, target = onnx_models.two_inputs(tmp_path / "m.onnx"), tmp_path / "out.onnx"
    batch: Batch = {"a": np.eye(4, dtype=np.float32), "b": np.ones((4, 2), np.int64)}
    values = MinMax().collect(source, lambda: [batch])
    ranges = Ranges(method="minmax", rows=4, data_digest="", values=values, inputs={})
    Int8Static().apply(source, target, Calibration(ranges=ranges))
    Int8Static().ensures(source, target)


def test_a_tensor_without_a_range_is_told_in_one_line(tmp_path: Path) -> None:
    source = onnx_models.mlp(tmp_path / "m.onnx")
    with pytest.raises(StageError, match=r"static quantization failed: .*r0") as told:
        Int8Static().apply(
            source, tmp_path / "out.onnx", Calibration(ranges=replace(ranges_of(source), values={"x": (0.0, 1.0)}))
        )
    assert "\n" not in str(told.value)


def test_a_file_that_was_not_quantized_is_refused(tmp_path: Path) -> None:
    source = onnx_models.mlp(tmp_path / "m.onnx")
    with pytest.raises(NotApplicable, match="no Conv, Gemm or MatMul of the graph can be quantized"):
        Int8Static().ensures(source, source)


def test_operators_must_be_named() -> None:
    with pytest.raises(ValueError, match="operators"):
        Int8Static(operators=())


def test_the_root_logger_stays_bare(tmp_path: Path) -> None:
    """ONNX Runtime's warnings would otherwise give it a handler, and every log line would be printed from then on."""
    before = list(logging.getLogger().handlers)
    done(Int8Static(), onnx_models.mlp(tmp_path / "in" / "m.onnx"), tmp_path / "out" / "model.onnx")
    assert logging.getLogger().handlers == before


def test_an_older_model_is_brought_to_scales_per_channel(tmp_path: Path) -> None:
    source = onnx_models.mlp(tmp_path / "in" / "model.onnx")
    model = onnx.load(source)
    model.opset_import[0].version = 11
    onnx.save(model, source)
    target = done(Int8Static(), source, tmp_path / "out" / "model.onnx")
    assert weights_of(target)["w0_scale"].shape == (64,)
    assert np.abs(answers(target) - answers(source)).max() <= TestInt8Static.tolerance


def test_an_output_that_is_no_tensor_is_left_alone(tmp_path: Path) -> None:
    source, target = onnx_models.with_maps(onnx_models.mlp(tmp_path / "in" / "model.onnx")), tmp_path / "out" / "model.onnx"
    assert np.abs(answers(done(Int8Static(), source, target)) - answers(source)).max() <= TestInt8Static.tolerance


def test_weights_that_are_listed_as_inputs(tmp_path: Path) -> None:
    source = onnx_models.mlp(tmp_path / "in" / "model.onnx")
    model = onnx.load(source)
    model.graph.input.append(onnx_models.value("w0", onnx_models.FLOAT, 16, 64))
    onnx.save(model, source)
    target = done(Int8Static(), source, tmp_path / "out" / "model.onnx")
    assert np.abs(answers(target) - answers(source)).max() <= TestInt8Static.tolerance


def test_a_quantized_model_is_not_quantized_again(tmp_path: Path) -> None:
    quantized = done(Int8Static(), onnx_models.mlp(tmp_path / "in" / "m.onnx"), tmp_path / "out" / "model.onnx")
    with pytest.raises(NotApplicable, match="the graph is quantized already"):
        Int8Static().requires(quantized)


def test_integer_operators_have_no_float_products(tmp_path: Path) -> None:
    source, target = onnx_models.conv(tmp_path / "m.onnx"), tmp_path / "out.onnx"
    images = np.random.default_rng(2).normal(size=(32, 3, 8, 8)).astype(np.float32)
    Int8Static(form=Form.OPERATORS).apply(source, target, calibrated(source, images))
    Int8Static(form=Form.OPERATORS).ensures(source, target)
    found = graphs.operators(target)
    assert [found.count(one) for one in ("QLinearConv", "QLinearAdd", "QGemm", "Conv", "Gemm")] == [2, 1, 1, 0, 0]
    exact, made = answers(source, images), answers(target, images)
    assert np.abs(made - exact).max() < 0.05 * np.abs(exact).max()


def quantized_by(one: Int8Static, path: Path) -> onnx.GraphProto:
    """A transformer layer, quantized."""
    source, target = onnx_models.transformer(path / "in.onnx"), path / "out.onnx"
    one.requires(source)
    values = MinMax().collect(source, lambda: [onnx_models.transformer_rows()])
    ranges = Ranges(method="minmax", rows=8, data_digest="", values=values, inputs={})
    one.apply(source, target, Calibration(ranges=ranges))
    one.ensures(source, target)
    return onnx.load(target).graph


def in_integers(graph: onnx.GraphProto) -> list[str]:
    """The first outputs of products whose factors are all dequantized."""
    makers = {name: node.op_type for node in graph.node for name in node.output}
    products = [node for node in graph.node if node.op_type == "MatMul"]
    return [node.output[0] for node in products if {makers.get(name) for name in node.input} == {"DequantizeLinear"}]


def test_products_of_activations_stay_in_float_unless_asked_for(tmp_path: Path) -> None:
    weights = [f"{part}_product" for part in "qkvoud"]
    assert sorted(in_integers(quantized_by(Int8Static(), tmp_path))) == sorted(weights)
    asked = in_integers(quantized_by(Int8Static(products=True), tmp_path))
    assert sorted(asked) == sorted([*weights, "product", "weighted"])


def test_excluded_nodes_stay_in_float(tmp_path: Path) -> None:
    found = in_integers(quantized_by(Int8Static(exclude=("q_product", "d_product")), tmp_path))
    assert sorted(found) == sorted(f"{part}_product" for part in "kvou")


def test_an_unknown_node_is_named(tmp_path: Path) -> None:
    source = onnx_models.mlp(tmp_path / "m.onnx")
    with pytest.raises(NotApplicable, match=r"^exclude names 'nosuch', which is the first output of no node of this graph$"):
        Int8Static(exclude=("m0", "nosuch")).requires(source)


def test_every_node_excluded_is_a_refusal(tmp_path: Path) -> None:
    source = onnx_models.mlp(tmp_path / "in" / "m.onnx")
    with pytest.raises(NotApplicable, match="no Conv, Gemm or MatMul of the graph can be quantized"):
        done(Int8Static(exclude=("m0", "m1", "m2", "r0", "r1")), source, tmp_path / "out" / "model.onnx")


def test_as_accelerators_want_it(tmp_path: Path) -> None:
    one = Int8Static(activations=Integers.INT8, activation_symmetric=True, quantize_bias=False, dedicated=True)
    source, target = onnx_models.conv(tmp_path / "m.onnx"), tmp_path / "out.onnx"
    images = np.random.default_rng(2).normal(size=(32, 3, 8, 8)).astype(np.float32)
    one.apply(source, target, calibrated(source, images))
    weights = weights_of(target)
    zeros = {name: array for name, array in weights.items() if name.endswith("zero_point")}
    assert not any(array.any() for array in zeros.values())
    assert {array.dtype for array in zeros.values()} == {np.dtype(np.int8)}
    assert weights["c0"].dtype == np.float32
    readers: dict[str, int] = {}
    nodes = onnx.load(target).graph.node
    for name in (name for node in nodes for name in node.input):
        readers[name] = readers.get(name, 0) + 1
    assert {readers.get(node.output[0], 1) for node in nodes if node.op_type == "DequantizeLinear"} == {1}


def test_outputs_are_quantized_where_they_are_asked_for(tmp_path: Path) -> None:
    source = onnx_models.mlp(tmp_path / "in" / "m.onnx")
    target = done(Int8Static(outputs=True), source, tmp_path / "out" / "model.onnx")
    readers = {name: node.op_type for node in onnx.load(target).graph.node for name in node.input}
    assert {readers[f"m{layer}"] for layer in range(3)} == {"QuantizeLinear"}


def test_integer_operators_know_no_float_biases() -> None:
    with pytest.raises(ValueError, match="are for form=qdq"):
        Int8Static(form=Form.OPERATORS, quantize_bias=False)
