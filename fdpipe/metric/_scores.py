"""Scores of classes, probabilities among them, and which column is whose."""

from collections.abc import Sequence

import numpy as np

from fdpipe.arrays import Batch, value_of

FLOOR = float(np.finfo(np.float32).eps)
"""The least probability that a logarithm is taken of, 1.2e-7: a smaller one is no more than float32's rounding."""

WHOLE = 0.01
"""How far from 1 the probabilities of a row may add up: quantized ones are rounded. They are divided by their sum."""

ROUNDING = 1e-9
"""A smaller difference, of a sum to 1 or of two means, is the arithmetic's."""

NAMES = ("probabilities", "scores")


def scores_of(answers: Batch) -> np.ndarray | None:
    """The score of each class as float64 of shape (rows, classes): the answer `probabilities`, or `scores`, or the only
    two-dimensional float answer of several columns; None where there is none, and where one is not finite."""
    floats = {name: item for name, item in answers.items() if item.ndim == 2 and item.dtype.kind == "f" and item.shape[1] > 1}
    named = [floats[name] for name in NAMES if name in floats] or list(floats.values())
    if not named or (len(named) > 1 and not floats.keys() & set(NAMES)):
        return None
    scores = named[0].astype(np.float64)
    return scores if np.isfinite(scores).all() else None


def probabilities_of(answers: Batch) -> np.ndarray | None:
    """The probability of each class as float64 of shape (rows, classes), each row divided by its sum; a single column is that
    of the second of two classes. None where a figure is negative, above 1, or a row's sum is not 1 within `WHOLE`."""
    scores = scores_of(answers)
    if scores is None:
        single = single_of(answers)
        if single is None or not ((single >= 0) & (single <= 1)).all():
            return None
        return np.stack([1 - single, single], axis=1)
    sums = scores.sum(axis=1, keepdims=True)
    if (scores < 0).any() or not (np.abs(sums - 1) <= WHOLE).all():
        return None
    return np.asarray(scores / np.where(np.abs(sums - 1) <= ROUNDING, 1.0, sums))


def single_of(answers: Batch) -> np.ndarray | None:
    """One finite score a row, of shape (rows,), as float64; None where there is no such answer."""
    found = value_of(answers)
    return found if found is not None and found.ndim == 1 and np.isfinite(found).all() else None


def scores_beside(answers: Batch, labels: np.ndarray, classes: Sequence[str] = ()) -> tuple[np.ndarray, np.ndarray] | None:
    """Scores of shape (rows, columns) and, of the same shape, which are right (bool). Labels are one a row, or 0 and 1 for each
    column where several may be right. With a single score a row, of two labels the greater is right. None for what does not
    fit together."""
    if (scores := scores_of(answers)) is None:
        single = single_of(answers)
        found = np.unique(labels) if single is not None and single.shape == labels.shape else np.zeros(0)
        return (single[:, None], (labels == found[1])[:, None]) if single is not None and len(found) == 2 else None
    if labels.shape == scores.shape and labels.dtype.kind in "biuf":
        return (scores, labels == 1) if ((labels == 0) | (labels == 1)).all() else None
    places = places_of(answers, labels, scores, classes)
    return None if places is None else (scores, places[:, None] == np.arange(scores.shape[1]))


def places_of(answers: Batch, labels: np.ndarray, scores: np.ndarray, classes: Sequence[str] = ()) -> np.ndarray | None:
    """Of each row the column of its label, int of shape (rows,), -1 for a label that is none of the classes; None where that
    cannot be told.

    `classes` names the columns. Without it, the answer `label` says which column is whose wherever that column is the largest;
    the rest is in the order of the labels, as most libraries have it. Without such an answer, labels are columns.
    """
    columns = scores.shape[1]
    if labels.shape != (len(scores),):
        return None
    if classes:
        return _looked_up(_texts(labels), np.array(classes), np.arange(columns)) if len(classes) == columns else None
    told = answers.get("label")
    if told is not None and (told.shape != labels.shape or _is_text(told) != _is_text(labels)):
        return None
    every = _plain(labels) if told is None else np.concatenate([_plain(labels), _plain(told)])
    if every.dtype.kind == "f" and not np.isfinite(every).all():
        return None
    known, codes = np.unique(every, return_inverse=True)
    wanted, answered = codes[: len(labels)], codes[len(labels) :]
    owners = _numbered(known, columns) if told is None else _told(known, wanted, answered, scores)
    return None if owners is None else owners[wanted]


def _numbered(known: np.ndarray, columns: int) -> np.ndarray | None:
    """The column of each known label: a number is the column's own, and texts are in order where they are as many."""
    if known.dtype.kind == "f":
        whole = (known >= 0) & (known < columns) & (known == np.floor(known))
        return np.where(whole, known, -1).astype(np.int64)
    return np.arange(columns) if len(known) == columns else None


def _told(known: np.ndarray, wanted: np.ndarray, answered: np.ndarray, scores: np.ndarray) -> np.ndarray | None:
    """The column of each known label, by the label `answered` beside the scores."""
    columns = scores.shape[1]
    seen = _seen(answered, scores, len(known))
    owners = seen.argmax(axis=0)
    named = seen.any(axis=0) & (seen.argmax(axis=1)[owners] == np.arange(len(known)))
    numbered = _numbered(known, columns)
    for likely in (numbered, np.arange(columns) if len(known) == columns else None):
        if likely is not None and (likely >= 0).all() and (likely == owners)[named].all():
            return likely
    owners = np.where(named, owners, -1)
    free, rest = np.setdiff1d(np.arange(columns), owners), np.setdiff1d(wanted, np.flatnonzero(named))
    if len(free) == len(rest) == 1:
        owners[rest] = free
    return owners if len(free) == 0 or len(rest) == 0 or len(free) == len(rest) == 1 else None


def _seen(answered: np.ndarray, scores: np.ndarray, labels: int) -> np.ndarray:
    """How much speaks for a column and a label belonging together, of shape (columns, labels): how often the label is answered
    where that column alone is the largest. Where this contradicts itself, since the answer is not the largest score (a
    threshold of its own, say), by how much the column is larger in the mean where the label is answered."""
    columns, top = scores.shape[1], scores.argmax(axis=1)
    alone = (scores == scores[np.arange(len(scores)), top][:, None]).sum(axis=1) == 1
    pairs = top[alone] * labels + answered[alone]
    counts = np.bincount(pairs, minlength=columns * labels).reshape(columns, labels)
    if not len(scores) or max((counts > 0).sum(axis=0).max(), (counts > 0).sum(axis=1).max()) <= 1:
        return counts
    order = np.argsort(answered, kind="stable")
    there, starts, rows = np.unique(answered[order], return_index=True, return_counts=True)
    lifts = np.zeros((columns, labels))
    lifts[:, there] = np.add.reduceat(scores[order], starts, axis=0).T / rows - scores.mean(axis=0)[:, None]
    return np.where(lifts > ROUNDING, lifts, 0.0)


def _looked_up(wanted: np.ndarray, names: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The place of each name, -1 for one that is not there."""
    order = np.argsort(names)
    at = np.minimum(np.searchsorted(names, wanted, sorter=order), len(names) - 1)
    return np.where(names[order[at]] == wanted, places[order[at]], -1)


def _plain(array: np.ndarray) -> np.ndarray:
    return _texts(array) if _is_text(array) else array.astype(np.float64)


def _texts(array: np.ndarray) -> np.ndarray:
    if _is_text(array):
        return array.astype(str)
    return np.array([f"{item:g}" if isinstance(item, float) else str(item) for item in array.tolist()], dtype=str)


def _is_text(array: np.ndarray) -> bool:
    return array.dtype.kind in "OUS"
