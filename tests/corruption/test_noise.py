"""Gaussian noise."""

import numpy as np
import pytest

from fdpipe.corruption.noise import Noise
from fdpipe.errors import NotApplicable
from tests.contracts.corruption import CorruptionContract, Features
from tests.contracts.settings import built


def test_its_file_builds() -> None:
    assert built("corruption", "noise") == Noise()


class TestNoise(CorruptionContract):
    @pytest.fixture
    def corruption(self) -> Noise:
        return Noise()

    @pytest.fixture
    def features(self) -> Features:
        return {"x": np.arange(12, dtype=np.float32).reshape(4, 3), "n": np.arange(4)}


def test_floats_are_off_by_a_share_of_their_columns_spread() -> None:
    x = np.random.default_rng(0).normal(size=(2000, 2)).astype(np.float32) * np.array([1.0, 100.0], np.float32)
    found = Noise(share=0.5).corrupt({"x": x, "n": np.arange(2000)}, np.random.default_rng(1))
    assert found["x"].dtype == x.dtype
    np.testing.assert_allclose((found["x"] - x).std(axis=0), [0.5, 50.0], rtol=0.1)
    np.testing.assert_array_equal(found["n"], np.arange(2000))


def test_what_has_no_floats_has_no_noise() -> None:
    with pytest.raises(NotApplicable):
        Noise().corrupt({"n": np.arange(3)}, np.random.default_rng(0))
