"""The least loss of information."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from fdpipe.calibrator._histogram import histogram
from fdpipe.calibrator.entropy import Entropy, divergences
from tests import onnx_models
from tests.contracts.calibrator import ROWS, CalibratorContract, cut
from tests.contracts.settings import built


class TestEntropy(CalibratorContract):
    @pytest.fixture(params=[Entropy(), Entropy(bins=2048, percentile=0)])
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
    assert rows.min() <= low < -3
    assert 3 < high < 65


def test_a_uniform_distribution_is_kept_whole(tmp_path: Path) -> None:
    rows = np.random.default_rng(6).uniform(-1, 1, ROWS.shape).astype(np.float32)
    assert collected(rows, tmp_path, Entropy()) == pytest.approx((-1, 1), abs=0.01)


def test_each_side_has_its_own_end(tmp_path: Path) -> None:
    """As behind a GELU: few and small negative values keep their end, a long positive tail is clipped."""
    values = np.random.default_rng(6).exponential(0.3, ROWS.shape)
    rows = np.where(np.arange(16) < 4, -np.minimum(values, 0.17), values).astype(np.float32)
    low, high = collected(rows, tmp_path, Entropy())
    assert low == pytest.approx(-0.17, abs=0.01)
    assert 1 < high < rows.max()


def test_what_is_turned_round_has_its_range_turned_round() -> None:
    values = np.random.default_rng(6).gamma(2, size=5000) - 0.5
    (low, high), turned = (Entropy()._clipped(histogram(each, 8192)) for each in (values, -values))
    assert turned == pytest.approx((-high, -low), abs=3 * np.abs(values).max() / 4096)


def test_no_more_is_clipped_than_the_percentile_allows(tmp_path: Path) -> None:
    """Values of which a tenth is large: the divergence alone would clip them all."""
    rows = np.random.default_rng(6).exponential(0.01, ROWS.shape).astype(np.float32)
    rows[:, ::10] = 1 + rows[:, ::10] * 100
    free, held = (collected(rows, tmp_path, Entropy(percentile=percentile))[1] for percentile in (0, 99.9))
    assert np.mean(rows > held) <= 0.001 + 1e-9
    assert held >= free


@pytest.mark.parametrize("levels", [128, 256])
def test_the_divergence_is_the_published_one(levels: int) -> None:
    """Migacz's pseudo-code, line by line."""
    counts = np.random.default_rng(7).poisson(1000 / np.arange(1, 513) ** 1.2).astype(float)
    numbers = np.array([256, 300, 333, 511, 512])
    found = divergences(counts, numbers, levels)
    for kept, divergence in zip(numbers, found, strict=True):
        p = counts[:kept].copy()
        p[-1] += counts[kept:].sum()
        q = np.zeros(kept)
        for level in range(levels):
            members = [number for number in range(kept) if number * levels // kept == level]
            filled = [number for number in members if counts[number] > 0]
            for number in filled:
                q[number] = counts[members].sum() / len(filled)
        p, q = p / p.sum(), np.maximum(q / q.sum(), 1e-4 / kept)
        wanted = sum(a * np.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)
        assert divergence == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("setting", "message"), [({"bins": 100}, "bins must be even and at least 1024"), ({"percentile": 101}, "0 to 100")]
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
