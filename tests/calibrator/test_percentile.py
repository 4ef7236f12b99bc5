"""A fixed share of the values is clipped."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdpipe.calibrator._histogram import histogram
from fdpipe.calibrator.percentile import Percentile
from tests import onnx_models
from tests.contracts.calibrator import ROWS, CalibratorContract, cut
from tests.contracts.settings import built


class TestPercentile(CalibratorContract):
    @pytest.fixture(params=[Percentile(), Percentile(percentile=99.5, bins=2048)])
    def calibrator(self, request: pytest.FixtureRequest) -> Percentile:
        found: Percentile = request.param
        return found


def test_its_file_builds() -> None:
    assert built("calibrator", "percentile") == Percentile()


@pytest.mark.parametrize("percentile", [99.9, 99.0, 75.0])
def test_equals_the_sorted_values(percentile: float, tmp_path: Path) -> None:
    """To a bin's width; a side that does not lie beyond 0 is kept whole."""
    found = Percentile(percentile=percentile).collect(onnx_models.mlp(tmp_path / "model.onnx"), cut(ROWS, 50))
    for name, array in onnx_models.mlp_tensors(ROWS).items():
        ordered, clipped = np.sort(array, axis=None), int(array.size * (100 - percentile) / 100 + 1e-6)
        wanted = (0 if array.min() >= 0 else ordered[clipped], ordered[-1 - clipped])
        np.testing.assert_allclose(found[name], wanted, atol=3 * np.abs(array).max() / 4096)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=300),
    percentile=st.floats(51, 100),
)
def test_no_more_is_clipped_than_its_share(values: list[float], percentile: float) -> None:
    array = np.array(values, np.float32)
    low, high = Percentile(percentile=percentile)._clipped(histogram(array, 8192))
    allowed = len(array) * (100 - percentile) / 100 + 1e-9
    assert np.sum(array < low) <= allowed
    assert np.sum(array > high) <= allowed


def test_each_side_has_its_own_end(tmp_path: Path) -> None:
    rows = np.where(ROWS < 0, ROWS * 0.01, ROWS).astype(np.float32)
    low, high = Percentile(percentile=99).collect(onnx_models.mlp(tmp_path / "model.onnx"), cut(rows, 64))["x"]
    assert -0.04 < low < -0.01
    assert 2 < high < 3


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"percentile": 50}, "above 50"),
        ({"percentile": 101}, "at most 100"),
        ({"bins": 1000}, "at least 1024"),
        ({"bins": 8191}, "even"),
    ],
)
def test_settings_have_ranges(setting: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Percentile(**setting)  # type: ignore[arg-type]
