"""Answers that are none."""

import numpy as np
import pytest

from fdpipe.artifacts import Aspect, Outcome
from fdpipe.stages.sound import unsound

LABELS = np.array([1, 2, 3])
ROWS = np.array([[0.1, 0.9], [0.5, 0.5], [1.0, 0.0]])


def test_numbers_are_sound_and_so_are_words() -> None:
    assert unsound("rt/a", {"p": ROWS, "label": LABELS}, {"p": ROWS + 1, "label": LABELS}) is None
    assert unsound("rt/a", {"word": np.array(["a", "b"])}, {"word": np.array(["b", "b"])}) is None
    assert unsound("rt/a", {"other": ROWS, "p": ROWS}, {"p": ROWS}) is None


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_fails(number: float) -> None:
    broken = ROWS.copy()
    broken[1:, 0] = number
    found = unsound("rt/a", {"label": LABELS, "p": broken}, {"label": LABELS, "p": ROWS})
    assert found is not None
    assert (found.check, found.candidate, found.outcome, found.aspect) == ("answers", "rt/a", Outcome.FAIL, Aspect.QUALITY)
    assert (found.figure, found.limit, found.unit) == (2.0, 0.0, "answers")
    assert found.reason == "2 of 3 answers hold NaN or an infinity, and the original's to these rows none"


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_none_in_the_original_either_is_no_fault(number: float) -> None:
    broken = ROWS.copy()
    broken[1, 0] = number
    assert unsound("rt/a", {"p": broken}, {"p": broken}) is None
    worse = broken.copy()
    worse[2] = np.inf
    found = unsound("rt/a", {"p": worse}, {"p": broken})
    assert found is not None
    assert found.figure == 1.0
    beside = broken.copy()
    beside[1, 1] = np.nan
    assert unsound("rt/a", {"p": beside}, {"p": broken}) is not None, "of the same row another number"


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("instead", [0.5, np.nan, np.inf, -np.inf])
def test_where_the_original_holds_none_the_same_is_asked(number: float, instead: float) -> None:
    """No difference to an infinity has a size: what is not the same would pass as any other answer."""
    original, answers = ROWS.copy(), ROWS.copy()
    original[1, 0], answers[1, 0] = number, instead
    found = unsound("rt/a", {"p": answers}, {"p": original})
    if np.array_equal(original, answers, equal_nan=True):
        assert found is None
        return
    assert found is not None
    assert found.reason == "1 of 3 answers are others than the original's where those hold NaN or an infinity"
    assert found.figure == 1.0


def test_answers_of_another_shape_fail() -> None:
    found = unsound("rt/a", {"p": ROWS[:2]}, {"p": ROWS})
    assert found is not None
    assert found.reason == "its answers have not the shapes of the original's"
    assert unsound("rt/a", {"p": ROWS[:, 0]}, {"p": ROWS[:, :1]}) is None


def test_an_answer_that_is_missing_fails_whatever_else_there_is() -> None:
    original = {"label": np.array([0, 1]), "probabilities": np.array([[0.5, 0.5], [0.1, 0.9]])}
    found = unsound("rt/int8", {"label": original["label"], "Identity": original["probabilities"]}, original)
    assert found is not None
    assert found.outcome is Outcome.FAIL
    assert "the original answers probabilities, and this does not" in found.reason
