"""Static INT8 by NNCF."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from fdpipe.arrays import Batch
from fdpipe.content import tree_digest
from fdpipe.errors import NotApplicable, StageError
from fdpipe.interfaces import Calibration
from fdpipe.openvino import library
from fdpipe.passes.int8_static import Int8Static
from fdpipe.passes.nncf_int8 import NncfInt8
from tests import onnx_models
from tests.contracts.passes import PassContract, answers, calibrated, done
from tests.contracts.settings import built

pytestmark = pytest.mark.skipif(find_spec("nncf") is None, reason="the extra `openvino` is not installed")


class TestNncfInt8(PassContract):
    tolerance = 0.15
    knows_scalers = False

    @pytest.fixture
    def one(self) -> NncfInt8:
        return NncfInt8(samples=64)


def test_its_file_builds() -> None:
    assert built("passes", "nncf_int8") == NncfInt8()


def nodes(path: Path) -> dict[str, list[str]]:
    """What each product and convolution of an XML file reads, by its name."""
    return {
        node.get_friendly_name(): [port.get_source_output().get_node().get_type_name() for port in node.inputs()]
        for node in library().Core().read_model(str(path)).get_ordered_ops()
        if node.get_type_name() in ("MatMul", "Convolution")
    }


def attention(path: Path) -> Path:
    """Three products with weights, of which attention is made, one layer of it: x → (rows, 4, 8) → y."""
    random = np.random.default_rng(3)
    weights = {name: random.normal(0, 0.3, (8, 8)).astype(np.float32) for name in ("wq", "wk", "wv")}
    made = [helper.make_node("MatMul", ["x", f"w{part}"], [part]) for part in "qkv"]
    made += [
        helper.make_node("Transpose", ["k"], ["t"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "t"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["shares"], axis=-1),
        helper.make_node("MatMul", ["shares", "v"], ["y"]),
    ]
    shapes = [onnx_models.value(name, onnx_models.FLOAT, "rows", "sequence", 8) for name in "xy"]
    return onnx_models.save(path, made, shapes[:1], shapes[1:], weights)


SEQUENCES = np.random.default_rng(4).normal(size=(32, 4, 8)).astype(np.float32)


def given(array: np.ndarray) -> Calibration:
    return Calibration(batches=lambda: ({"x": array[start : start + 8]} for start in range(0, len(array), 8)))


def test_attention_is_found_and_its_own_products_stay_in_float(tmp_path: Path) -> None:
    source = attention(tmp_path / "in" / "model.onnx")
    for wanted in (False, True):
        target = tmp_path / str(wanted) / "model.xml"
        NncfInt8(attention=wanted).apply(source, target, given(SEQUENCES))
        assert ("FakeQuantize" in nodes(target)["scores"]) is wanted
        assert "FakeQuantize" in nodes(target)["q"]
        exact = answers(source, SEQUENCES)
        assert np.abs(answers(target, SEQUENCES) - exact).max() < 0.1 * np.abs(exact).max()


def test_axes_stay_open(tmp_path: Path) -> None:
    source, target = attention(tmp_path / "in" / "model.onnx"), tmp_path / "out" / "model.xml"
    NncfInt8().apply(source, target, given(SEQUENCES))
    NncfInt8().ensures(source, target)
    assert answers(target, SEQUENCES[:3, :2]).shape == (3, 2, 8)


def test_excluded_nodes_stay_in_float(tmp_path: Path) -> None:
    target = done(NncfInt8(exclude=("m1",)), onnx_models.mlp(tmp_path / "in" / "model.onnx"), tmp_path / "out" / "model.onnx")
    found = nodes(target)
    assert "FakeQuantize" not in found["m1"]
    assert {"FakeQuantize"} <= set(found["m0"])
    assert {"FakeQuantize"} <= set(found["m2"])


def test_what_openvino_makes_of_an_excluded_node_stays_in_float_whole(tmp_path: Path) -> None:
    """Of a Gemm, a product without a name of the graph's, and a sum that has it."""
    weights = onnx_models.mlp_weights((16, 10))
    made = [helper.make_node("Gemm", ["x", "w0", "b0"], ["y"])]
    inputs, outputs = ([onnx_models.value(name, onnx_models.FLOAT, "rows", width)] for name, width in (("x", 16), ("y", 10)))
    source = onnx_models.save(tmp_path / "in" / "model.onnx", made, inputs, outputs, weights)
    assert done(NncfInt8(), source, tmp_path / "out" / "model.onnx")
    with pytest.raises(NotApplicable, match="NNCF found no"):
        done(NncfInt8(exclude=("y",)), source, tmp_path / "float" / "model.onnx")


def test_an_unknown_node_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="'nosuch'"):
        NncfInt8(exclude=("nosuch",)).requires(onnx_models.mlp(tmp_path / "model.onnx"))


def test_convolutions(tmp_path: Path) -> None:
    source, target = onnx_models.conv(tmp_path / "in" / "model.onnx"), tmp_path / "out" / "model.xml"
    images = np.random.default_rng(2).normal(size=(32, 3, 8, 8)).astype(np.float32)
    NncfInt8().apply(source, target, calibrated(source, images))
    NncfInt8().ensures(source, target)
    exact = answers(source, images)
    assert np.abs(answers(target, images) - exact).max() < 0.05 * np.abs(exact).max()
    assert not {"Constant", "Convert"} & {kind for kinds in nodes(target).values() for kind in kinds}


def test_ranges_come_from_so_many_rows_and_no_more(tmp_path: Path) -> None:
    """Of the last batch only those that are wanted; a batch that is not wanted is not made."""
    source = onnx_models.mlp(tmp_path / "model.onnx")
    x = np.random.default_rng(5).normal(size=(12, 16)).astype(np.float32)

    def batches() -> Iterator[Batch]:
        yield {"x": x[:8]}
        yield {"x": np.concatenate([x[8:], x[8:] * 1000])}
        pytest.fail("no more rows are needed")

    for name, calibration in (("all", Calibration(batches=batches)), ("alone", given(x))):
        (tmp_path / name).mkdir()
        NncfInt8(samples=12).apply(source, tmp_path / name / "model.xml", calibration)
    some, alone = ((tmp_path / name / "model.bin").read_bytes() for name in ("all", "alone"))
    assert some == alone


def test_no_rows_are_told(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"NNCF's quantization failed: .*empty"):
        NncfInt8().apply(onnx_models.mlp(tmp_path / "m.onnx"), tmp_path / "model.xml", Calibration(batches=list))


def test_operators_that_openvino_has_not_are_told(tmp_path: Path) -> None:
    source = onnx_models.mlp(tmp_path / "model.onnx", scaler=True)
    with pytest.raises(StageError, match=r"opening model\.onnx with openvino failed: it has no operator .*Scaler") as caught:
        NncfInt8().apply(source, tmp_path / "model.xml", calibrated(source))
    assert "\n" not in str(caught.value)


def test_a_quantized_model_is_not_quantized_again(tmp_path: Path) -> None:
    quantized = done(Int8Static(), onnx_models.mlp(tmp_path / "in" / "m.onnx"), tmp_path / "out" / "model.onnx")
    with pytest.raises(NotApplicable, match="the graph is quantized already"):
        NncfInt8().requires(quantized)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_type": "cnn"}, "model_type must be one of auto, transformer, none, not 'cnn'"),
        ({"preset": "fast"}, "preset must be one of auto, performance, mixed, not 'fast'"),
        ({"bias_correction": "slow"}, "bias_correction must be one of auto, fast, layerwise, none, not 'slow'"),
        ({"ranges": "entropy"}, "ranges must be one of extremes, means, not 'entropy'"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"smooth_quant_alpha": 1.5}, "smooth_quant_alpha must be from 0 to 1, or negative for none"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NncfInt8(**settings)  # type: ignore[arg-type]


def test_it_prints_nothing_and_loads_no_torch_and_writes_no_file(tmp_path: Path) -> None:
    """Nor does it leave its own class behind for loggers, or its handler."""
    source = onnx_models.mlp(tmp_path / "in" / "model.onnx")
    code = (
        "import logging, sys, numpy, pathlib; from fdpipe.interfaces import Calibration;"
        "from fdpipe.passes.nncf_int8 import NncfInt8;"
        f"NncfInt8().apply(pathlib.Path({str(source)!r}), pathlib.Path({str(tmp_path / 'model.xml')!r}),"
        " Calibration(batches=lambda: [{'x': numpy.ones((8, 16), numpy.float32)}]));"
        "print(sorted({'openvino_telemetry', 'torch'} & set(sys.modules)), logging.getLoggerClass().__name__)"
    )
    environment = {"HOME": str(tmp_path / "home"), "PYTHONPATH": ":".join(sys.path)}
    (tmp_path / "home").mkdir()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert (done.stdout.strip(), done.stderr) == ("[] Logger", "")
    assert list((tmp_path / "home").iterdir()) == []


def test_nothing_is_withheld_afterwards(tmp_path: Path) -> None:
    before = list(sys.meta_path)
    done(NncfInt8(), onnx_models.mlp(tmp_path / "in" / "m.onnx"), tmp_path / "out" / "model.onnx")
    assert sys.meta_path == before
    assert type(logging.getLogger(f"fdpipe.{tmp_path.name}")) is logging.Logger


@pytest.mark.parametrize("correction", ["fast", "none"])
def test_bias_correction_can_be_chosen(tmp_path: Path, correction: str) -> None:
    source = onnx_models.conv(tmp_path / "in" / "model.onnx")
    images = np.random.default_rng(2).normal(size=(16, 3, 8, 8)).astype(np.float32)
    NncfInt8(bias_correction=correction).apply(source, tmp_path / "model.xml", calibrated(source, images))
    exact = answers(source, images)
    assert np.abs(answers(tmp_path / "model.xml", images) - exact).max() < 0.1 * np.abs(exact).max()


def test_bytes_do_not_depend_on_the_process(tmp_path: Path) -> None:
    """Nor on the order in which a process happens to hold names."""
    source = onnx_models.mlp(tmp_path / "in" / "model.onnx")
    code = (
        "import sys, numpy, pathlib; from fdpipe.passes.nncf_int8 import NncfInt8; from fdpipe.interfaces import Calibration;"
        "rows = numpy.linspace(-1, 1, 128, dtype=numpy.float32).reshape(8, 16);"
        "NncfInt8().apply(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), Calibration(batches=lambda: [{'x': rows}]))"
    )
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        environment = {"HOME": str(folder), "PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", code, str(source), str(folder / "model.xml")]
        subprocess.run(command, check=True, env=environment, timeout=120)
    assert tree_digest(tmp_path / "1") == tree_digest(tmp_path / "2")
