"""Words with two letters in the wrong order."""

import numpy as np
import pytest

from fdpipe.corruption.typos import Typos
from fdpipe.errors import NotApplicable
from tests.contracts.corruption import CorruptionContract, Features
from tests.contracts.settings import built


def test_its_file_builds() -> None:
    assert built("corruption", "typos") == Typos()


class TestTypos(CorruptionContract):
    @pytest.fixture
    def corruption(self) -> Typos:
        return Typos(share=0.5)

    @pytest.fixture
    def features(self) -> Features:
        return {"text": np.array(["a slow brown fox, über 7 dogs", "again and again"], object), "n": np.arange(2)}


def test_a_share_of_the_words_has_two_letters_swapped() -> None:
    words = ["slow"] * 600
    found = Typos(share=0.25).corrupt({"text": np.array([" ".join(words)])}, np.random.default_rng(0))["text"][0].split(" ")
    wrong = [word for word in found if word != "slow"]
    assert set(wrong) == {"lsow", "solw", "slwo"}
    assert len(wrong) / len(words) == pytest.approx(0.25, abs=0.06)


def test_only_words_are_mistyped() -> None:
    with pytest.raises(NotApplicable):
        Typos(share=1).corrupt({"text": np.array(["7 42-42 _ a"]), "n": np.arange(1)}, np.random.default_rng(0))


@pytest.mark.parametrize("share", [0, 1.1])
def test_the_share_is_one(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        Typos(share=share)
