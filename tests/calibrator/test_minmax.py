"""The smallest and the largest value."""

from pathlib import Path

import numpy as np
import pytest

from fdpipe.arrays import Batch
from fdpipe.calibrator.minmax import MinMax
from fdpipe.errors import StageError
from tests import onnx_models
from tests.contracts.calibrator import ROWS, CalibratorContract, cut
from tests.contracts.settings import built


class TestMinMax(CalibratorContract):
    @pytest.fixture
    def calibrator(self) -> MinMax:
        return MinMax()


def test_its_file_builds() -> None:
    assert built("calibrator", "minmax") == MinMax()


def test_equals_a_computation_over_all_rows_at_once(tmp_path: Path) -> None:
    found = MinMax().collect(onnx_models.mlp(tmp_path / "model.onnx"), cut(ROWS, 50))
    for name, array in onnx_models.mlp_tensors(ROWS).items():
        np.testing.assert_allclose(found[name], (array.min(), array.max()), rtol=1e-4, atol=1e-5)


def test_the_numbers_that_mean_infinity_in_a_mask_do_not_count(tmp_path: Path) -> None:
    """Transformers add the least number of the type to what is masked."""
    rows = ROWS.copy()
    rows[::3, 4] = np.finfo(np.float32).min
    low, high = MinMax().collect(onnx_models.mlp(tmp_path / "model.onnx"), cut(rows, 50))["x"]
    assert (low, high) == (rows[rows > -100].min(), rows.max())


def test_the_inputs_alone_need_no_model(tmp_path: Path) -> None:
    batch: Batch = {
        "a": np.array([[1, np.nan, -2]], np.float32),
        "b": np.ones((1, 2), np.int64),
        "c": np.array([["text"]], object),
    }
    found = MinMax(inputs_only=True).collect(tmp_path / "model.xml", lambda: [batch, {**batch, "a": batch["a"] * 2}])
    assert found == {"a": (-4.0, 2.0)}


def test_the_inputs_alone_need_rows(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="no calibration rows"):
        MinMax(inputs_only=True).collect(tmp_path / "model.xml", lambda: [])
