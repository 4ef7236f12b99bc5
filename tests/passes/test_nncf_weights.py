"""INT8 and INT4 weights by NNCF."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from fdpipe.errors import NotApplicable, StageError
from fdpipe.interfaces import Calibration
from fdpipe.openvino import library
from fdpipe.passes._openvino_graphs import weights_of
from fdpipe.passes.int8_dynamic import Int8Dynamic
from fdpipe.passes.nncf_weights import NncfWeights
from fdpipe.runtime.openvino import OpenVino, OpenVinoEngine
from tests import onnx_models
from tests.contracts.passes import ROWS, PassContract, answers, done, of_openvino
from tests.contracts.settings import built

pytestmark = pytest.mark.skipif(find_spec("nncf") is None, reason="the extra `openvino` is not installed")


class TestNncfWeights(PassContract):
    tolerance = 0.1
    knows_scalers = False

    @pytest.fixture(params=[NncfWeights(), NncfWeights(group=0), NncfWeights(group=32)])
    def one(self, request: pytest.FixtureRequest) -> NncfWeights:
        found: NncfWeights = request.param
        return found


def test_its_file_builds() -> None:
    assert built("passes", "nncf_weights") == NncfWeights()


@pytest.mark.parametrize(("bits", "kind"), [(8, "i8"), (4, "i4")])
def test_weights_have_so_many_bits(tmp_path: Path, bits: int, kind: str) -> None:
    one = NncfWeights(bits=bits, weight_group=16)
    target = done(one, onnx_models.mlp(tmp_path / "in" / "model.onnx"), tmp_path / "out" / "model.onnx")
    assert weights_of(target).count(kind) == 3


def test_four_bits_answer_roughly_the_same(tmp_path: Path) -> None:
    source = onnx_models.mlp(tmp_path / "in" / "model.onnx")
    found = answers(done(NncfWeights(bits=4, weight_group=16), source, tmp_path / "out" / "model.onnx"))
    assert 0.01 < np.abs(found - answers(source)).max() < 1


@pytest.mark.parametrize("group", [0, 32, 128])
def test_the_group_is_served_as_it_was_measured(tmp_path: Path, group: int) -> None:
    """It is in the model: whatever opens it with OpenVINO has it."""
    source = onnx_models.mlp(tmp_path / "in" / "model.onnx")
    target = done(NncfWeights(group=group), source, tmp_path / "out" / "model.onnx")
    engine = OpenVino().open(of_openvino(target), {})
    assert isinstance(engine, OpenVinoEngine)
    assert engine._models is not None
    assert engine._models.general.compiled.get_property("DYNAMIC_QUANTIZATION_GROUP_SIZE") == group


def test_a_row_does_not_depend_on_its_batch_mates(tmp_path: Path) -> None:
    target = done(NncfWeights(), onnx_models.mlp(tmp_path / "in" / "model.onnx"), tmp_path / "out" / "model.onnx")
    beside = np.concatenate([ROWS[:7], ROWS[7:8] * 20])
    np.testing.assert_allclose(answers(target, beside)[:7], answers(target, ROWS[:8])[:7], rtol=1e-5, atol=1e-6)


def test_excluded_nodes_stay_in_float(tmp_path: Path) -> None:
    source = onnx_models.mlp(tmp_path / "in" / "model.onnx")
    target = done(NncfWeights(exclude=("m1",)), source, tmp_path / "out" / "model.onnx")
    model = library().Core().read_model(str(target))
    kinds = {
        node.get_friendly_name(): {port.get_source_output().get_node().get_type_name() for port in node.inputs()}
        for node in model.get_ordered_ops()
        if node.get_type_name() == "MatMul"
    }
    assert "Constant" in kinds["m1"]
    assert "Constant" not in kinds["m0"] | kinds["m2"]


def test_an_unknown_node_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="'nosuch'"):
        NncfWeights(exclude=("nosuch",)).requires(onnx_models.mlp(tmp_path / "model.onnx"))


def test_products_of_activations_alone_are_told(tmp_path: Path) -> None:
    source = onnx_models.mlp(tmp_path / "in" / "model.onnx")
    with pytest.raises(NotApplicable, match="no Gemm or MatMul whose weights can be compressed"):
        done(NncfWeights(exclude=("m0", "m1", "m2")), source, tmp_path / "out" / "model.onnx")


def test_a_quantized_model_is_not_quantized_again(tmp_path: Path) -> None:
    quantized = done(Int8Dynamic(), onnx_models.mlp(tmp_path / "in" / "m.onnx"), tmp_path / "out" / "model.onnx")
    with pytest.raises(NotApplicable, match="the graph is quantized already"):
        NncfWeights().requires(quantized)


def test_operators_that_openvino_has_not_are_told(tmp_path: Path) -> None:
    source = onnx_models.mlp(tmp_path / "model.onnx", scaler=True)
    with pytest.raises(StageError, match=r"opening model\.onnx with openvino failed: it has no operator .*Scaler"):
        NncfWeights().apply(source, tmp_path / "model.xml", Calibration())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bits": 2}, "bits must be 8 or 4, not 2"),
        ({"group": 100}, "group must be 0 or a multiple of 32, not 100"),
        ({"group": -32}, "group must be 0 or a multiple of 32, not -32"),
        ({"weight_group": 0}, "weight_group must be at least 1"),
    ],
)
def test_settings_are_checked(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NncfWeights(**settings)  # type: ignore[arg-type]
