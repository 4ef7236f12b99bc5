"""Labels with answers to them."""

import numpy as np

from tests.contracts.metric import Case

LABELS = np.array([0, 0, 0, 0, 1, 1, 2, 2])
GUESSES = np.array([0, 0, 0, 1, 1, 0, 2, 1])


def labelled(answers: np.ndarray, labels: np.ndarray = LABELS, figure: float = 0.0) -> Case:
    """Answers under the name `label`."""
    return Case(answers={"label": answers}, labels=labels, figure=figure)


PROBABILITIES = np.array(
    [
        [0.7, 0.2, 0.1],
        [0.1, 0.6, 0.3],
        [0.2, 0.3, 0.5],
        [0.5, 0.4, 0.1],
        [0.2, 0.2, 0.6],
        [0.3, 0.1, 0.6],
    ]
)
"""The labels beside them are the largest in all rows but the last two."""

CLASSES = np.array([0, 1, 2, 0, 1, 0])

WORDS = np.array(["ant", "bee", "cat"])
"""What the columns are called: in the order of the alphabet."""

OTHER_WORDS = np.array(["cat", "ant", "bee"])
"""And in another."""


def scored(scores: np.ndarray = PROBABILITIES, labels: np.ndarray = CLASSES, figure: float = 0.0) -> Case:
    """Answers under the name `probabilities`, and no label."""
    return Case(answers={"probabilities": scores}, labels=labels, figure=figure)


def named(words: np.ndarray, scores: np.ndarray = PROBABILITIES, labels: np.ndarray = CLASSES, figure: float = 0.0) -> Case:
    """The same with words for labels, and the word of the largest score as the answer `label`."""
    answers = {"label": words[scores.argmax(axis=1)].astype(object), "probabilities": scores.astype(np.float32)}
    return Case(answers=answers, labels=words[labels], figure=figure)


def sure(labels: np.ndarray, columns: int = 3) -> np.ndarray:
    """Probabilities that leave no doubt."""
    return np.asarray(np.eye(columns)[labels])


RIGHT = np.array(["the cat sat", "on the mat", "ö"])
FOUND = np.array(["the bat sat", " on the big mat ", "ö"], object)
"""Texts, and what was found in their place: one letter is another, and a word is put in."""

NO_TEXTS = (
    Case(answers={"text": RIGHT}, labels=np.array(["", " ", ""])),
    Case(answers={"text": RIGHT}, labels=np.arange(3)),
    Case(answers={"text": np.array([b"a", None, "c"], object)}, labels=RIGHT),
    Case(answers={"one": RIGHT, "other": RIGHT}, labels=RIGHT),
    Case(answers={"text": np.stack([RIGHT, RIGHT], 1)}, labels=RIGHT),
)
"""What holds no text, or not one a row."""


def texts(rate: float) -> tuple[Case, ...]:
    """The same texts in each form that they may have."""
    return (
        Case(answers={"text": FOUND}, labels=RIGHT, figure=rate),
        Case(answers={"label": FOUND[:, None], "language": FOUND}, labels=RIGHT[:, None], figure=rate),
        Case(answers={"said": FOUND.astype(str), "score": np.ones(3)}, labels=RIGHT.astype(object), figure=rate),
    )


VALUES = np.array([1.0, 2.0, 3.0, 4.0])


def valued(answers: np.ndarray, labels: np.ndarray = VALUES, figure: float = 0.0) -> Case:
    """Answers under the name `value`."""
    return Case(answers={"value": answers}, labels=labels, figure=figure)
