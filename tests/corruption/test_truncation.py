"""Texts and sequences that end too early."""

import numpy as np
import pytest

from fdpipe.corruption.truncation import Truncation
from fdpipe.errors import NotApplicable
from tests.contracts.corruption import CorruptionContract, Features
from tests.contracts.settings import built

RANDOM = np.random.default_rng(0)


def test_its_file_builds() -> None:
    assert built("corruption", "truncation") == Truncation()


class TestTruncation(CorruptionContract):
    @pytest.fixture
    def corruption(self) -> Truncation:
        return Truncation()

    @pytest.fixture
    def features(self) -> Features:
        return {"text": np.array(["one two three", "four"], object), "ids": np.array([[5, 6, 7, 8], [5, 6, 0, 0]])}


def test_texts_lose_their_last_words() -> None:
    texts = np.array(["one two three four", "five six seven", "eight", ""])
    found = Truncation(keep=0.5).corrupt({"text": texts}, RANDOM)["text"]
    assert found.tolist() == ["one two", "five six", "eight", ""]


def test_sequences_are_cut_by_their_own_length_and_filled_up() -> None:
    ids = np.array([[5, 6, 7, 8], [5, 0, 7, 1], [5, 6, 1, 1], [1, 1, 1, 1]], np.int32)
    found = Truncation(keep=0.5, padding=1).corrupt({"ids": ids, "x": np.ones((4, 2))}, RANDOM)
    assert found["ids"].tolist() == [[5, 6, 1, 1], [5, 0, 1, 1], [5, 1, 1, 1], [1, 1, 1, 1]]
    assert found["ids"].dtype == np.int32
    assert (found["x"] == 1).all()


def test_what_has_no_end_is_not_cut() -> None:
    with pytest.raises(NotApplicable):
        Truncation().corrupt({"x": np.ones((3, 2)), "n": np.arange(3), "text": np.array(["a", "b", "c"])}, RANDOM)


@pytest.mark.parametrize("keep", [0, 1])
def test_something_is_cut_off_and_something_left(keep: float) -> None:
    with pytest.raises(ValueError, match="keep"):
        Truncation(keep=keep)
