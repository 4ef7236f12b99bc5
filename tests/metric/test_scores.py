"""Which column of the scores is whose."""

import numpy as np
import pytest

from fdpipe.metric._scores import places_of, scores_of
from tests.metric.cases import CLASSES, OTHER_WORDS, PROBABILITIES, WORDS


def places(labels: np.ndarray, told: np.ndarray | None, scores: np.ndarray = PROBABILITIES) -> list[int] | None:
    """The columns found."""
    found = places_of({} if told is None else {"label": told}, labels, scores)
    return None if found is None else found.tolist()


TOP = PROBABILITIES.argmax(axis=1)


@pytest.mark.parametrize("names", [WORDS, OTHER_WORDS, np.array([0, 1, 2]), np.array([1, 2, 3]), np.array([7, 5, 6])])
def test_the_answered_label_tells(names: np.ndarray) -> None:
    assert places(names[CLASSES], names[TOP]) == CLASSES.tolist()


def test_a_class_that_is_never_answered_has_the_column_that_is_left() -> None:
    scores = PROBABILITIES[[0, 1, 3]]
    told = OTHER_WORDS[[0, 1, 0]]
    assert places(OTHER_WORDS[[0, 2, 1]], told, scores) == [0, 2, 1]


def test_classes_that_are_not_there_leave_numbers_as_they_are() -> None:
    assert places(np.array([0, 0]), np.array([0, 0]), PROBABILITIES[[0, 3]]) == [0, 0]


def test_numbers_from_1_on_are_seen_by_the_answer() -> None:
    assert places(np.array([1, 1]), np.array([1, 1]), PROBABILITIES[[0, 3]]) == [0, 0]


def test_two_classes_that_are_never_answered_cannot_be_told() -> None:
    scores = np.array([[0.4, 0.3, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1]])
    assert places(np.array(["ant", "bee"]), np.array(["ant", "ant"]), scores) is None


def test_a_threshold_of_its_own_misleads_nobody() -> None:
    """The second class is answered from 0.2 on, mostly where the first scores higher."""
    second = np.array([0.1, 0.25, 0.3, 0.4, 0.9])
    told = np.array(["no", "yes", "yes", "yes", "yes"])
    assert places(np.array(["no", "no", "yes", "yes", "yes"]), told, np.stack([1 - second, second], axis=1)) == [0, 0, 1, 1, 1]


def test_a_label_that_is_no_class_has_no_column() -> None:
    assert places(np.array(["ant", "bee", "cat", "dog", "bee", "ant"]), WORDS[TOP]) == [0, 1, 2, -1, 1, 0]
    assert places(np.array([0, 1, 5, 2, -1, 0]), None) == [0, 1, -1, 2, -1, 0]


def test_without_the_answer_texts_are_in_order_where_they_are_as_many() -> None:
    assert places(WORDS[CLASSES], None) == CLASSES.tolist()
    assert places(WORDS[CLASSES[[0, 3]]], None, PROBABILITIES[[0, 3]]) is None


@pytest.mark.parametrize("labels", [WORDS[CLASSES], CLASSES * np.nan, CLASSES[:5], CLASSES[:, None]])
def test_labels_that_do_not_fit(labels: np.ndarray) -> None:
    assert places(labels, CLASSES) is None


def test_the_scores_among_other_answers() -> None:
    embedding = np.zeros((6, 4), np.float32)
    assert scores_of({"embedding": embedding, "probabilities": PROBABILITIES}) is not None
    assert scores_of({"embedding": embedding, "logits": PROBABILITIES}) is None
    assert scores_of({"logits": PROBABILITIES * np.inf}) is None
