"""A library's answers as a graph has them, and what such libraries raise."""

import numpy as np

FAILURES = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, OSError)
"""What the libraries raise that is no error of their own; theirs are none of Python's."""


def classified(classes: np.ndarray, probabilities: np.ndarray, label: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """A classifier's answers; without labels of its own, each row's is its likeliest class. One probability is the second
    class's."""
    if probabilities.ndim == 1:
        probabilities = np.stack([1 - probabilities, probabilities], axis=1)
    found = plain(classes)[probabilities.argmax(axis=1)] if label is None else plain(label.reshape(len(label)))
    return {"label": found, "probabilities": probabilities.astype(np.float32)}


def valued(values: np.ndarray) -> dict[str, np.ndarray]:
    """A regressor's or ranker's answers."""
    return {"value": values.reshape(len(values), -1).astype(np.float32)}


def plain(labels: np.ndarray) -> np.ndarray:
    """Labels as a graph has them: whole numbers as int64, everything else as text."""
    array = np.asarray(labels)
    if array.dtype.kind in "biu" or (array.dtype.kind == "f" and (array == np.floor(array)).all()):
        return array.astype(np.int64)
    return array.astype(str)


def line(error: Exception) -> str:
    """What the library said, as one line; XGBoost's stack traces are left out."""
    said = str(error).partition("Stack trace:")[0]
    return " ".join(said.split())[:400] or type(error).__name__
