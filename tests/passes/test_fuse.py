"""ONNX Runtime's own optimizations."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from fdpipe import graphs
from fdpipe.passes.fuse import Fuse, Level
from tests import onnx_models
from tests.contracts.passes import PassContract, answers, done
from tests.contracts.settings import built


class TestFuse(PassContract):
    takes_any_model = True

    @pytest.fixture(params=list(Level))
    def one(self, request: pytest.FixtureRequest) -> Fuse:
        return Fuse(level=request.param)


def test_its_file_builds() -> None:
    assert built("passes", "fuse") == Fuse()


@pytest.mark.parametrize("scaler", [False, True])
def test_basic_fuses_products_and_sums_even_behind_a_scaler(tmp_path: Path, scaler: bool) -> None:
    """ONNX Runtime alone knows no shapes behind a Scaler and fuses nothing there."""
    source = onnx_models.mlp(tmp_path / "in" / "model.onnx", scaler=scaler)
    target = done(Fuse(level=Level.BASIC), source, tmp_path / "out" / "model.onnx")
    assert graphs.operators(target) == [*(["Scaler"] if scaler else []), "Gemm", "Relu", "Gemm", "Relu", "Gemm"]


def test_extended_uses_fused_operators(tmp_path: Path) -> None:
    target = done(Fuse(), onnx_models.mlp(tmp_path / "in" / "model.onnx"), tmp_path / "out" / "model.onnx")
    assert "FusedGemm" in graphs.operators(target)


def test_names_no_operator_set_that_no_node_uses(tmp_path: Path) -> None:
    target = done(Fuse(level=Level.BASIC), onnx_models.mlp(tmp_path / "in" / "model.onnx"), tmp_path / "out" / "model.onnx")
    assert [one.domain for one in onnx.load(target).opset_import] == [""]


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("build", [onnx_models.tree, onnx_models.text, onnx_models.two_inputs, onnx_models.conv])
def test_works_on_other_kinds_of_models(build: Callable[[Path], Path], level: Level, tmp_path: Path) -> None:
    done(Fuse(level=level), build(tmp_path / "in" / "model.onnx"), tmp_path / "out" / "model.onnx")


def test_a_convolution_absorbs_its_norm_and_its_activation(tmp_path: Path) -> None:
    source = onnx_models.conv_norm(tmp_path / "in" / "model.onnx")
    basic = done(Fuse(level=Level.BASIC), source, tmp_path / "basic" / "model.onnx")
    assert graphs.operators(basic) == ["Conv", "Relu"]
    extended = done(Fuse(), source, tmp_path / "extended" / "model.onnx")
    assert graphs.operators(extended) == ["FusedConv"]
    images = np.random.default_rng(3).normal(size=(4, 3, 8, 8)).astype(np.float32)
    for made in (basic, extended):
        np.testing.assert_allclose(answers(made, images), answers(source, images), atol=1e-5)
