"""Why a quantized model is slow, by ONNX Runtime's own profile and by facts written by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fdpipe import workers
from fdpipe.arrays import save_arrays
from fdpipe.artifacts import Artifact, Diagnosis, Machine, NodeTime, Ranges, Rows
from fdpipe.calibrator.minmax import MinMax
from fdpipe.interfaces import Calibration, Session
from fdpipe.passes.int8_dynamic import Int8Dynamic
from fdpipe.passes.int8_static import Int8Static
from fdpipe.processor.none import Plain
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.stages.diagnose import SLOWEST, diagnose, reasons, signed_products
from fdpipe.store import LocalStore
from tests import onnx_models

X = np.random.default_rng(1).normal(size=(12, 16)).astype(np.float32)
ONE_THREAD: Session = {"threads": 1}


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def floats(store: LocalStore) -> Artifact:
    return onnx_models.artifact(onnx_models.mlp(store.root / "float" / "model.onnx"))


def static(source: Path) -> Artifact:
    values = MinMax().collect(source, lambda: [{"x": X}])
    target = source.with_name("static.onnx")
    Int8Static().apply(source, target, Calibration(ranges=Ranges(method="", rows=1, data_digest="", values=values, inputs={})))
    return onnx_models.artifact(target)


def diagnosed(store: LocalStore, model: Artifact, floats: Artifact | None, batch: int = 4) -> Diagnosis:
    path = store.root / "data" / "rows.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = Rows(role="evaluation", path=path, digest=save_arrays(path, {"x": X}), count=len(X), labelled=False)
    processor = workers.spec("processor", Plain(inputs=model.inputs, names=("x",)))
    return diagnose(store, OnnxRuntime(), ONE_THREAD, model, processor, rows, (batch, 99), floats)


@pytest.mark.parametrize("batch", [1, 30])
def test_shares_add_up_and_the_slowest_is_first(store: LocalStore, floats: Artifact, batch: int) -> None:
    """Also for more rows than there are."""
    found = diagnosed(store, static(floats.path), floats, batch)
    assert found.float_share is not None
    assert found.converting_share is not None
    assert 0 < found.converting_share <= found.float_share + found.converting_share <= 1
    assert [one.ms for one in found.times] == sorted((one.ms for one in found.times), reverse=True)
    assert found.unfused == sum("uantizeLinear" in one.operator for one in found.times)
    assert set(found.unpaid) <= {"m0", "m1", "m2"}
    assert any("only quantize" in reason for reason in found.reasons)
    assert any(reason.startswith("in 8 bits its nodes take ") for reason in found.reasons)


def test_dynamic_quantization_is_seen_as_eight_bits(store: LocalStore, floats: Artifact) -> None:
    target = floats.path.with_name("dynamic.onnx")
    Int8Dynamic().apply(floats.path, target, Calibration())
    found = diagnosed(store, onnx_models.artifact(target), floats)
    assert any("Integer" in one.operator or one.operator == "DynamicQuantizeMatMul" for one in found.times)
    assert found.float_share is not None
    assert found.float_share < 1
    assert not any("none of its nodes computes on 8 bits" in reason for reason in found.reasons)


def test_without_the_float_model_nothing_is_said_of_single_nodes(store: LocalStore, floats: Artifact) -> None:
    found = diagnosed(store, static(floats.path), None)
    assert found.unpaid == ()
    assert not any(reason.startswith("in 8 bits its nodes") for reason in found.reasons)
    assert found.times


def test_times_are_kept_of_the_slowest(store: LocalStore) -> None:
    nodes = [helper.make_node("Sin", [f"h{number}"], [f"h{number + 1}"]) for number in range(SLOWEST + 10)]
    ends = [onnx_models.value(name, TensorProto.FLOAT, "rows", 16) for name in ("h0", f"h{SLOWEST + 10}")]
    model = onnx_models.artifact(onnx_models.save(store.root / "sines" / "model.onnx", nodes, ends[:1], ends[1:]))
    path = store.root / "rows.npz"
    rows = Rows(role="evaluation", path=path, digest=save_arrays(path, {"h0": X}), count=len(X), labelled=False)
    processor = workers.spec("processor", Plain(inputs=model.inputs, names=("h0",)))
    found = diagnose(store, OnnxRuntime(), ONE_THREAD, model, processor, rows, (2,))
    assert len(found.times) == SLOWEST
    assert found.float_share == 1


# --- sentences --------------------------------------------------------------------------------------------------------


MACHINE = Machine(
    processor="one", cores=2, memory_gib=8, system="Linux x86_64", instruction_sets=("avx2", "avx512_vnni"), fingerprint="0"
)


def time(node: str, operator: str, ms: float) -> NodeTime:
    return NodeTime(node=node, operator=operator, ms=ms)


QUANTIZED = [time("a", "QGemm", 2), time("b", "Softmax", 1), time("c", "QuantizeLinear", 0.5), time("d", "Gelu", 0.5)]


def told(times: list[NodeTime] | None = None, machine: Machine = MACHINE, signed: int = 0) -> str:
    return "\n".join(
        reasons(QUANTIZED if times is None else times, [time("a", "Gemm", 1.5)], ["a", "e", "f", "g"], machine, signed)
    )


def test_the_facts_are_told() -> None:
    assert told().splitlines() == [
        "38% of its time goes into nodes that compute in float, most into Softmax (25%), Gelu (12%)",
        "12% of its time goes into 1 node that only quantizes or dequantizes",
        "in 8 bits its nodes take 4 ms, in float 1.5 ms",
        "4 of its products take longer in 8 bits, with what converts for them, than in float: a, e, f and others",
    ]


@pytest.mark.parametrize(
    ("system", "has", "is_told"),
    [
        ("Linux x86_64", ("avx2", "avx512f"), True),
        ("Linux x86_64", ("avx_vnni",), False),
        ("Linux x86_64", ("amx_int8",), False),
        ("Linux aarch64", (), True),
        ("Linux aarch64", ("asimddp",), False),
        ("Linux riscv64", (), False),
    ],
)
def test_a_processor_without_products_of_8_bits_is_told(system: str, has: tuple[str, ...], is_told: bool) -> None:
    machine = replace(MACHINE, system=system, instruction_sets=has)
    assert ("the processor has none of" in told(machine=machine)) is is_told


def test_dynamic_convolutions_are_told() -> None:
    assert "2 convolutions are quantized dynamically (ConvInteger)" in told([time(n, "ConvInteger", 1) for n in "ab"])


def test_a_model_without_a_product_of_8_bits_is_told() -> None:
    assert "none of its nodes computes on 8 bits" in told([time("a", "MatMul", 1), time("b", "DequantizeLinear", 1)])


def test_nothing_measured_is_nothing_told() -> None:
    assert list(reasons([], [], [], MACHINE, 0)) == []


@pytest.mark.parametrize(("system", "is_told"), [("Linux x86_64", True), ("Linux aarch64", False)])
def test_signed_activations_are_told_on_x86(system: str, is_told: bool) -> None:
    assert ("3 of its products take signed activations" in told(machine=replace(MACHINE, system=system), signed=3)) is is_told


@pytest.mark.parametrize(("dtype", "count"), [(np.int8, 1), (np.uint8, 0)])
def test_signed_activations_are_found_in_the_graph(tmp_path: Path, dtype: type, count: int) -> None:
    path = onnx_models.mlp(tmp_path / "model.onnx")
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("MatMulInteger", ["a", "b", "zero"], ["c"]))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((), dtype), "zero"))
    onnx.save(model, path)
    assert signed_products(onnx_models.artifact(path)) == count
    assert signed_products(replace(onnx_models.artifact(path), kind="openvino")) == 0
