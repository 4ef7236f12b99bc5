"""Numbers off to the same side."""

import numpy as np
import pytest

from fdpipe.corruption.shift import Shift
from fdpipe.errors import NotApplicable
from tests.contracts.corruption import CorruptionContract, Features
from tests.contracts.settings import built

RANDOM = np.random.default_rng(0)


def test_its_file_builds() -> None:
    assert built("corruption", "shift") == Shift()


class TestShift(CorruptionContract):
    @pytest.fixture
    def corruption(self) -> Shift:
        return Shift()

    @pytest.fixture
    def features(self) -> Features:
        return {"x": np.arange(12, dtype=np.float32).reshape(4, 3), "n": np.arange(4)}


def test_each_column_moves_by_a_share_of_its_own_spread() -> None:
    x = RANDOM.normal(size=(50, 2)).astype(np.float32) * np.array([1.0, 100.0], np.float32)
    for share in (0.5, -0.5):
        found = Shift(share=share).corrupt({"x": x, "n": np.arange(50)}, RANDOM)
        np.testing.assert_allclose(found["x"] - x, np.broadcast_to(share * x.std(axis=0), x.shape), rtol=1e-3)
        np.testing.assert_array_equal(found["n"], np.arange(50))


def test_pictures_get_brighter_as_a_whole_and_bytes_end() -> None:
    pictures = RANDOM.integers(0, 256, (4, 3, 5, 5)).astype(np.uint8)
    found = Shift(share=1.0).corrupt({"x": pictures}, RANDOM)["x"]
    np.testing.assert_array_equal(found, np.minimum(255, np.rint(pictures + pictures.std())).astype(np.uint8))
    floats = Shift(share=1.0).corrupt({"x": pictures / 255}, RANDOM)["x"] - pictures / 255
    assert np.ptp(floats) < 1e-12


def test_what_has_no_such_numbers_has_no_shift() -> None:
    with pytest.raises(NotApplicable):
        Shift().corrupt({"n": np.arange(3), "text": np.array(["a", "b", "c"])}, RANDOM)


@pytest.mark.parametrize("share", [0, float("inf"), float("nan")])
def test_there_is_some_shift(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        Shift(share=share)
