"""The average of batches' extremes."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from fdpipe.calibrator.minmax import MinMax
from fdpipe.calibrator.moving_average import MovingAverage
from tests import onnx_models
from tests.contracts.calibrator import ROWS, CalibratorContract, cut
from tests.contracts.settings import built


class TestMovingAverage(CalibratorContract):
    depends_on_batches: ClassVar[bool] = True

    @pytest.fixture(params=[0.01, 0.5])
    def calibrator(self, request: pytest.FixtureRequest) -> MovingAverage:
        return MovingAverage(weight=request.param)


def test_its_file_builds() -> None:
    assert built("calibrator", "moving_average") == MovingAverage()


def test_equals_the_sum_written_out(tmp_path: Path) -> None:
    """The first batch with weight (1-w)^n, each other with w(1-w)^(n-k)."""
    found = MovingAverage(weight=0.2).collect(onnx_models.mlp(tmp_path / "model.onnx"), cut(ROWS, 64))
    weights = np.array([0.8**7] + [0.2 * 0.8 ** (7 - number) for number in range(1, 8)])
    assert weights.sum() == pytest.approx(1)
    for name, array in onnx_models.mlp_tensors(ROWS).items():
        parts = [array[start : start + 64] for start in range(0, 512, 64)]
        wanted = [sum(weights * [part.min() for part in parts]), sum(weights * [part.max() for part in parts])]
        np.testing.assert_allclose(found[name], wanted, rtol=1e-4, atol=1e-5)


def test_the_order_of_the_rows_matters(tmp_path: Path) -> None:
    model = onnx_models.mlp(tmp_path / "model.onnx")
    growing = ROWS * np.linspace(0.1, 1, len(ROWS), dtype=np.float32)[:, None]
    early, late = (MovingAverage().collect(model, cut(rows, 32))["x"][1] for rows in (growing, growing[::-1]))
    assert early < late / 2


def test_one_outlier_widens_it_little(tmp_path: Path) -> None:
    rows = ROWS.copy()
    rows[300, 3] = 1000
    model = onnx_models.mlp(tmp_path / "model.onnx")
    assert MovingAverage().collect(model, cut(rows, 8))["x"][1] < 13
    assert MinMax().collect(model, cut(rows, 8))["x"][1] == 1000


def test_the_newest_alone(tmp_path: Path) -> None:
    found = MovingAverage(weight=1).collect(onnx_models.mlp(tmp_path / "model.onnx"), cut(ROWS, 256))
    assert found["x"] == (ROWS[256:].min(), ROWS[256:].max())


@pytest.mark.parametrize("weight", [0, -0.1, 1.1])
def test_settings_have_ranges(weight: float) -> None:
    with pytest.raises(ValueError, match="weight must be above 0 and at most 1"):
        MovingAverage(weight=weight)
