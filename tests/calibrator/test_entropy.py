"""The least loss of information."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from fdpipe.calibrator.entropy import LEVELS, Entropy, divergence
from tests import onnx_models
from tests.contracts.calibrator import ROWS, CalibratorContract, cut
from tests.contracts.settings import built


class TestEntropy(CalibratorContract):
    @pytest.fixture(params=[Entropy(bins=512), Entropy(bins=512, percentile=0)])
    def calibrator(self, request: pytest.FixtureRequest) -> Entropy:
        found: Entropy = request.param
        return found


def test_its_file_builds() -> None:
    assert built("calibrator", "entropy") == Entropy()


def collected(rows: np.ndarray, folder: Path, entropy: Entropy) -> tuple[float, float]:
    return entropy.collect(onnx_models.mlp(folder / "model.onnx"), cut(rows, 64))["x"]


def test_an_outlier_is_clipped(tmp_path: Path) -> None:
    rows = ROWS.copy()
    rows[7, 3] = 1000.0
    low, high = collected(rows, tmp_path, Entropy())
    assert low == rows.min()
    assert 3 < high < 150


def test_a_uniform_distribution_is_kept_whole(tmp_path: Path) -> None:
    rows = np.random.default_rng(6).uniform(-1, 1, ROWS.shape).astype(np.float32)
    assert collected(rows, tmp_path, Entropy()) == pytest.approx((-1, 1), abs=0.01)


def test_no_more_is_clipped_than_the_percentile_allows(tmp_path: Path) -> None:
    """Values of which a tenth is large: the divergence alone would clip them all."""
    rows = np.random.default_rng(6).exponential(0.01, ROWS.shape).astype(np.float32)
    rows[:, ::10] = 1 + rows[:, ::10] * 100
    free, held = (collected(rows, tmp_path, Entropy(percentile=percentile))[1] for percentile in (0, 99.9))
    assert np.mean(rows > held) <= 0.001 + 1e-9
    assert held >= free


def test_the_divergence_is_the_published_one() -> None:
    """Migacz's pseudo-code, line by line."""
    counts = np.random.default_rng(7).poisson(1000 / np.arange(1, 513) ** 1.2).astype(float)
    for kept in (128, 200, 333, 512):
        p = counts[:kept].copy()
        p[-1] += counts[kept:].sum()
        q = np.zeros(kept)
        for level in range(LEVELS):
            members = [number for number in range(kept) if number * LEVELS // kept == level]
            filled = [number for number in members if counts[number] > 0]
            for number in filled:
                q[number] = counts[members].sum() / len(filled)
        p, q = p / p.sum(), np.maximum(q / q.sum(), 1e-4 / kept)
        wanted = sum(a * np.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)
        assert divergence(counts, kept, LEVELS) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("setting", "message"), [({"bins": 100}, "bins must be at least 512"), ({"percentile": 101}, "0 to 100")]
)
def test_settings_have_ranges(setting: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Entropy(**setting)  # type: ignore[arg-type]


def test_half_floats(tmp_path: Path) -> None:
    half = TensorProto.FLOAT16
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    weights = {"w": np.eye(16, dtype=np.float16)}
    inputs, outputs = [onnx_models.value("x", half, "rows", 16)], [onnx_models.value("y", half, "rows", 16)]
    path = onnx_models.save(tmp_path / "model.onnx", [node], inputs, outputs, weights)
    low, high = Entropy().collect(path, cut(ROWS.astype(np.float16), 64))["x"]
    assert -5 < low < -2
    assert 2 < high < 5
