"""Smoothing."""

from pathlib import Path

import numpy as np
import pytest

from fdpipe import graphs
from fdpipe.errors import NotApplicable
from fdpipe.passes.int8_dynamic import Int8Dynamic
from fdpipe.passes.smooth import Smooth
from fdpipe.runtime.onnxruntime import OnnxRuntime
from tests import onnx_models
from tests.contracts.passes import PassContract, done
from tests.contracts.settings import built


class TestSmooth(PassContract):
    takes_any_model = True

    @pytest.fixture
    def one(self) -> Smooth:
        return Smooth(required=False)


def test_its_file_builds() -> None:
    assert built("passes", "smooth") == Smooth()


def uneven(path: Path) -> Path:
    """A transformer layer with a channel that its first normalization makes 30 times as large as the others."""
    source = onnx_models.transformer(path)
    model = graphs.read(source)
    for tensor in model.graph.initializer:
        if tensor.name == "g0":
            numbers = np.full(onnx_models.WIDTH, 0.5, np.float32)
            numbers[3] = 15
            tensor.raw_data = numbers.tobytes()
    graphs.write(model, source)
    return source


def said(path: Path) -> np.ndarray:
    """The layer's answer."""
    return OnnxRuntime().open(onnx_models.artifact(path), {}).run(onnx_models.transformer_rows())["y"]


def test_the_model_is_the_same_and_loses_less_in_int8(tmp_path: Path) -> None:
    source = uneven(tmp_path / "in" / "model.onnx")
    smooth = done(Smooth(), source, tmp_path / "smooth" / "model.onnx")
    assert graphs.operators(smooth).count("Mul") == graphs.operators(source).count("Mul") + 1
    np.testing.assert_allclose(said(smooth), said(source), atol=1e-4)
    exclude = tuple(f"{part}_product" for part in "qkvod")
    losses = [
        np.abs(said(done(Int8Dynamic(exclude=exclude), given, tmp_path / name / "model.onnx")) - said(source)).mean()
        for name, given in (("plain", source), ("smoothed", smooth))
    ]
    assert losses[1] < 0.7 * losses[0]


def test_no_normalization_before_a_product(tmp_path: Path) -> None:
    source = onnx_models.mlp(tmp_path / "model.onnx")
    told = "the graph has no LayerNormalization before a MatMul: there is nothing to smooth"
    with pytest.raises(NotApplicable, match=f"^{told}$"):
        Smooth().requires(source)


@pytest.mark.parametrize("strength", [0.0, 1.1])
def test_a_strength_out_of_range(strength: float) -> None:
    with pytest.raises(ValueError, match="strength must be above 0 and at most 1"):
        Smooth(strength=strength)
