"""Pictures out of focus."""

import numpy as np
import pytest

from fdpipe.corruption.blur import Blur
from fdpipe.errors import NotApplicable
from tests.contracts.corruption import CorruptionContract, Features
from tests.contracts.settings import built

RANDOM = np.random.default_rng(0)


def test_its_file_builds() -> None:
    assert built("corruption", "blur") == Blur()


class TestBlur(CorruptionContract):
    @pytest.fixture
    def corruption(self) -> Blur:
        return Blur()

    @pytest.fixture
    def features(self) -> Features:
        return {"picture": RANDOM.integers(0, 256, (2, 8, 9, 3)).astype(np.uint8), "n": np.arange(2)}


@pytest.mark.parametrize(
    ("shape", "sides"), [((2, 8, 9), (1, 2)), ((2, 3, 8, 9), (2, 3)), ((2, 8, 9, 3), (1, 2)), ((2, 1, 8, 9), (2, 3))]
)
def test_what_is_blurred_is_height_and_width(shape: tuple[int, ...], sides: tuple[int, int]) -> None:
    """A single bright point spreads along these two, and into no other picture or colour; its light is kept."""
    picture = np.zeros(shape, np.float32)
    point = tuple(4 if axis in sides else 0 for axis in range(len(shape)))
    picture[point] = 1.0
    found = Blur(sigma=0.8).corrupt({"picture": picture}, RANDOM)["picture"]
    lit = np.argwhere(found > 0.01)
    assert {axis for axis in range(len(shape)) if len(set(lit[:, axis])) > 1} == set(sides)
    assert found.sum() == pytest.approx(1.0, abs=1e-4)


def test_pictures_in_flat_rows_are_blurred_where_their_shape_is_said() -> None:
    pictures = RANDOM.normal(size=(3, 8, 8)).astype(np.float32)
    flat = Blur(shape=(8, 8)).corrupt({"x": pictures.reshape(3, 64)}, RANDOM)["x"]
    np.testing.assert_array_equal(flat.reshape(3, 8, 8), Blur().corrupt({"x": pictures}, RANDOM)["x"])


@pytest.mark.parametrize("shape", [(3, 64), (3,), (3, 8, 8, 8), (3, 8, 1)])
def test_what_is_no_picture_has_no_blur(shape: tuple[int, ...]) -> None:
    with pytest.raises(NotApplicable, match="no feature is a picture"):
        Blur().corrupt({"x": np.zeros(shape)}, RANDOM)


def test_the_settings_have_ranges() -> None:
    with pytest.raises(ValueError, match="sigma"):
        Blur(sigma=0)
    with pytest.raises(ValueError, match="shape"):
        Blur(shape=(8,))
