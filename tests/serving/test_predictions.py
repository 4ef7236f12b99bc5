"""Answers as `predictions`."""

import numpy as np
import pytest

from fdpipe.processor.none import Plain
from fdpipe.processor.text import Text
from fdpipe.serving.predictions import Predictions
from fdpipe.serving.refusal import Refusal

LABELS = {"label": np.array(["b", "a"]), "probabilities": np.array([[0.25, 0.75], [1, 0]])}


def test_a_classifier_gives_its_labels() -> None:
    assert Predictions(Plain()).of(LABELS) == ["b", "a"]
    assert Predictions(Plain()).of({"label": np.array([3, 4])}) == [3, 4]


def test_of_texts_there_is_a_score() -> None:
    assert Predictions(Text()).of(LABELS) == [{"label": "b", "score": 0.75}, {"label": "a", "score": 1.0}]
    assert Predictions(Text()).of({"label": np.array(["a"])}) == ["a"]


def test_a_regressor_gives_its_values() -> None:
    for value in (np.array([[1.5], [2.0]]), np.array([1.5, 2.0])):
        assert Predictions(Plain()).of({"value": value}) == [1.5, 2.0]
    assert Predictions(Plain()).of({"value": np.array([[1, 2], [3, 4]])}) == [[1, 2], [3, 4]]


def test_one_answer_stands_for_itself() -> None:
    assert Predictions(Text()).of({"embedding": np.array([[1.0, 2.0]])}) == [[1.0, 2.0]]


def test_several_come_by_name() -> None:
    answers = {"a": np.array([1, 2]), "b": np.array([[3], [4]])}
    assert Predictions(Plain()).of(answers) == {"a": [1, 2], "b": [[3], [4]]}
    assert Predictions(Plain()).of(answers, by_row=True) == [{"a": 1, "b": [3]}, {"a": 2, "b": [4]}]


@pytest.mark.parametrize("answers", [{"value": np.array([np.nan])}, LABELS | {"probabilities": np.full((2, 2), np.inf)}])
def test_what_is_not_finite_is_refused(answers: dict[str, np.ndarray]) -> None:
    with pytest.raises(Refusal) as caught:
        Predictions(Text()).of(answers)
    assert caught.value.status == 422
