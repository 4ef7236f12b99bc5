"""Numbers as 8 bits hold them."""

import numpy as np
import pytest

from fdpipe.sensitivity.eight_bits import rounded, scale_of


def test_a_weight_has_a_scale_for_each_channel() -> None:
    weight = np.array([[1.0, 100.0], [0.503, -49.9]], np.float32)
    found = rounded(weight, -1)
    np.testing.assert_allclose(found, [[1.0, 100.0], [64 / 127, -63 * 100 / 127]], rtol=1e-6)
    assert found.dtype == np.float32


def test_no_number_moves_by_more_than_half_a_step() -> None:
    weight = np.random.default_rng(0).normal(size=(8, 3, 3, 3)).astype(np.float32)
    steps = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / 127
    assert (np.abs(rounded(weight, 0) - weight) <= steps / 2 * 1.001).all()
    assert (rounded(weight, 0) != weight).any()


def test_a_channel_of_zeros_stays_one() -> None:
    assert not rounded(np.zeros((3, 2), np.float32), 0).any()


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero"), [(-1.0, 1.55, 0.01, 100), (0.0, 2.55, 0.01, 0), (1.0, 2.55, 0.01, 0), (0, 0, 1.0, 0)]
)
def test_an_activation_has_256_steps_of_which_one_is_zero(low: float, high: float, scale: float, zero: int) -> None:
    found = scale_of(low, high)
    assert found[0] == pytest.approx(scale, rel=1e-5)
    assert found[1] == zero
    assert [str(one.dtype) for one in found] == ["float32", "uint8"]
