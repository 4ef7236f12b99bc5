"""The least squared error."""

from pathlib import Path

import numpy as np
import pytest

from fdpipe.calibrator._histogram import histogram
from fdpipe.calibrator.mse import Errors, Mse, clipped
from tests import onnx_models
from tests.contracts.calibrator import ROWS, CalibratorContract, cut
from tests.contracts.settings import built

RANDOM = np.random.default_rng(3)
NORMAL = RANDOM.normal(size=40_000)
SAMPLES = {
    "normal": NORMAL,
    "behind a Relu": np.maximum(NORMAL, 0),
    "behind a GELU": NORMAL / (1 + np.exp(-1.702 * NORMAL)),
    "heavy tails": RANDOM.standard_t(3, size=40_000),
    "probabilities": RANDOM.dirichlet(np.full(64, 0.1), 600).ravel(),
    "with an outlier": np.append(NORMAL, 50),
    "far from 0": NORMAL + 20,
    "negative": -np.abs(NORMAL) - 1,
}


class TestMse(CalibratorContract):
    @pytest.fixture
    def calibrator(self) -> Mse:
        return Mse()


def test_its_file_builds() -> None:
    assert built("calibrator", "mse") == Mse()


def error(values: np.ndarray, low: float, high: float) -> float:
    """The mean squared error of uint8, value by value."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    zero = round(-low / scale)
    held = np.clip(np.round(values / scale) + zero, 0, 255)
    return float(np.mean(((held - zero) * scale - values) ** 2))


@pytest.mark.parametrize("name", SAMPLES)
def test_no_range_of_a_grid_is_better(name: str) -> None:
    """A grid over both ends at once, with every value quantized."""
    values = SAMPLES[name].astype(np.float32).astype(np.float64)
    low, high = values.min(), values.max()
    lows, highs = (end * np.linspace(0.05, 1, 20) if beyond else [end] for end, beyond in ((low, low < 0), (high, high > 0)))
    best = min(error(values, one, other) for one in lows for other in highs)
    assert error(values, *clipped(histogram(values, 8192))) <= 1.01 * best


@pytest.mark.parametrize("name", SAMPLES)
def test_its_estimate_is_the_error_of_the_values(name: str) -> None:
    values = SAMPLES[name].astype(np.float32).astype(np.float64)
    for share in (1, 0.6):
        low, high = values.min() * share, values.max() * share
        found = Errors(histogram(values, 8192)).of(np.array([low]), np.array([high]))[0] / len(values)
        assert found == pytest.approx(error(values, low, high), rel=0.06)


def test_clips_where_it_pays(tmp_path: Path) -> None:
    rows = RANDOM.standard_t(3, size=(2000, 16)).astype(np.float32)
    low, high = Mse().collect(onnx_models.mlp(tmp_path / "model.onnx"), cut(rows, 100))["x"]
    assert rows.min() < low
    assert high < rows.max()
    assert error(rows, low, high) < 0.95 * error(rows, rows.min(), rows.max())


def test_a_uniform_distribution_is_kept_whole(tmp_path: Path) -> None:
    rows = np.random.default_rng(6).uniform(-1, 1, ROWS.shape).astype(np.float32)
    found = Mse().collect(onnx_models.mlp(tmp_path / "model.onnx"), cut(rows, 64))["x"]
    assert found == pytest.approx((-1, 1), abs=0.01)


def test_settings_have_ranges() -> None:
    with pytest.raises(ValueError, match="bins must be even and at least 1024"):
        Mse(bins=100)
