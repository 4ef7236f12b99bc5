"""The smallest and the largest value."""

from pathlib import Path

import numpy as np
import pytest

from fdpipe.calibrator.minmax import MinMax
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
