"""What the times of nodes say, on profiles written by hand."""

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from fdpipe.artifacts import NodeTime
from fdpipe.node_times import Chains, Work, by_output, chains, shares, unpaid, work_of
from tests import onnx_models
from tests.sensitivity.test_spots import transformer


@pytest.mark.parametrize(
    ("operator", "work"),
    [
        *((name, Work.EIGHT_BITS) for name in ("QLinearConv", "QLinearAdd", "MatMulInteger", "MatMulIntegerToFloat", "QGemm")),
        *(
            (name, Work.EIGHT_BITS)
            for name in ("DynamicQuantizeMatMul", "ConvInteger", "NhwcMaxPool", "MatMulNBits", "QAttention")
        ),
        *((name, Work.EIGHT_BITS) for name in ("brgemm_avx512_amx_I8", "jit_avx512_core_i8", "MatMul brgemm_avx512_U8")),
        *((name, Work.CONVERTING) for name in ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "FakeQuantize")),
        *((name, Work.MOVING) for name in ("Reshape", "Transpose", "ReorderOutput", "Gather", "Cast")),
        *(
            (name, Work.FLOAT)
            for name in ("MatMul", "Conv", "FusedGemm", "Softmax", "SkipLayerNormalization", "jit_avx512_FP32")
        ),
    ],
)
def test_operators_by_what_they_do(operator: str, work: Work) -> None:
    assert work_of(operator) is work


def test_shares_are_of_the_whole() -> None:
    found = shares(
        [time("a", "QGemm", 1), time("b", "Softmax", 2), time("c", "QuantizeLinear", 0.5), time("d", "Reshape", 0.5)]
    )
    assert found == {Work.EIGHT_BITS: 0.25, Work.FLOAT: 0.5, Work.CONVERTING: 0.125, Work.MOVING: 0.125}
    assert set(shares([]).values()) == {0.0}


def time(node: str, operator: str, ms: float, *inputs: str) -> NodeTime:
    return NodeTime(node=node, operator=operator, ms=ms, inputs=inputs)


def test_nodes_that_a_runtime_calls_by_their_own_names_get_those_of_their_outputs(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "x"], ["m"], name="first"),
        helper.make_node("Relu", ["m"], ["y"]),
    ]
    ends = [onnx_models.value(name, TensorProto.FLOAT, 4, 4) for name in ("x", "y")]
    path = onnx_models.save(tmp_path / "m.onnx", nodes, ends[:1], ends[1:])
    found = by_output([time("first", "MatMul", 1), time("y", "Relu", 1, "first", "other")], path)
    assert [(one.node, one.inputs) for one in found] == [("m", ()), ("y", ("m", "other"))]


def test_a_product_is_compared_with_what_is_fused_with_it(tmp_path: Path) -> None:
    found = chains(onnx_models.mlp(tmp_path / "model.onnx"))
    assert found.products == ("m0", "m1", "m2")
    assert found.last == {"m0": "r0", "a0": "r0", "r0": "r0", "m1": "r1", "a1": "r1", "r1": "r1", "m2": "y", "y": "y"}


def test_a_chain_ends_where_several_read_or_more_is_computed(tmp_path: Path) -> None:
    found = chains(onnx_models.conv(tmp_path / "conv.onnx")).last
    assert (found["conv0"], found["pool"], found["conv1"], found["mean"]) == ("relu0", "pool", "sum", "mean")
    other = chains(transformer(tmp_path / "transformer.onnx"))
    assert (other.last["scores"], other.last["mixed"], other.last["m"]) == ("scores", "mixed", "y")


def test_a_node_that_is_read_twice_by_one_other_ends_its_chain(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "x"], ["m"]), helper.make_node("Mul", ["m", "m"], ["y"])]
    ends = [onnx_models.value(name, TensorProto.FLOAT, 4, 4) for name in ("x", "y")]
    assert chains(onnx_models.save(tmp_path / "m.onnx", nodes, ends[:1], ends[1:])).last["m"] == "m"


MODEL = Chains(last={"m0": "a0", "a0": "a0", "m1": "m1", "m2": "m2", "s": "s"}, products=("m0", "m1", "m2"))
FLOATS = [
    time("m0", "MatMul", 2),
    time("a0", "Add", 1, "m0"),
    time("m1", "MatMul", 1),
    time("m2", "MatMul", 1),
    time("s", "Softmax", 1),
]


def test_what_is_slower_in_8_bits_is_named_the_one_with_most_to_save_first() -> None:
    quantized = [time("a0", "MatMulIntegerToFloat", 1), time("m1", "QGemm", 2), time("m2", "QGemm", 4), time("s", "Softmax", 9)]
    assert unpaid(quantized, FLOATS, MODEL) == ("m2", "m1")


def test_what_quantizes_counts_for_those_that_need_it_in_equal_parts() -> None:
    quantized = [
        time("x_q", "QuantizeLinear", 1.2),
        time("a0", "QGemm", 2.2, "x_q"),
        time("m1", "QGemm", 0.5, "x_q"),
        time("m2", "MatMul", 1),
    ]
    assert unpaid(quantized, FLOATS, MODEL) == ("m1",)


def test_what_dequantizes_counts_for_what_made_the_8_bits() -> None:
    quantized = [time("m1", "QGemm", 0.9), time("m1_float", "DequantizeLinear", 0.5, "m1"), time("s", "Softmax", 1, "m1_float")]
    assert unpaid(quantized, FLOATS, MODEL) == ("m1",)


def test_a_product_that_stayed_in_float_between_conversions_is_named() -> None:
    """Q and DQ that the runtime did not fuse."""
    quantized = [
        time("x_q", "QuantizeLinear", 0.3),
        time("x_dq", "DequantizeLinear", 0.3, "x_q"),
        time("w_dq", "DequantizeLinear", 0.3),
        time("m1", "MatMul", 1, "x_dq", "w_dq"),
    ]
    assert unpaid(quantized, FLOATS, MODEL) == ("m1",)


def test_what_was_not_quantized_or_is_alike_is_not_named() -> None:
    quantized = [time("a0", "QGemm", 3.1), time("m1", "MatMul", 5), time("m2", "QGemm", 1.04), time("other", "QGemm", 9)]
    assert unpaid(quantized, FLOATS, MODEL) == ()
    assert unpaid([], [], MODEL) == ()


def test_names_that_feed_each_other_end() -> None:
    quantized = [time("p", "QuantizeLinear", 1, "q"), time("q", "QuantizeLinear", 1, "p"), time("m1", "QGemm", 2, "q")]
    assert unpaid(quantized, FLOATS, MODEL) == ("m1",)
