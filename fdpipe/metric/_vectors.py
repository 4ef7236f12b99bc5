"""Vectors beside the original's."""

import numpy as np

from fdpipe.arrays import Batch, value_of
from fdpipe.metric import _rows


def cosines(answers: Batch, labels: np.ndarray) -> np.ndarray | None:
    """Of each row, the cosine with the original's row, which stands in `labels`; None for answers that are no float tensors
    of the original's shape. Two rows of zeros are alike, and one beside another row is not."""
    found = value_of(answers)
    if found is None or found.ndim < 2 or found.shape != labels.shape or labels.dtype.kind not in "biuf":
        return None
    one, other = _rows.flat(found), _rows.flat(labels).astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    with np.errstate(invalid="ignore"):  # of what is infinite there is no cosine, and NaN says so
        figures = np.sum(one * other, axis=1) / np.where(lengths == 0, 1.0, lengths)
    figures[(lengths == 0) & (one == other).all(axis=1)] = 1.0
    return np.asarray(np.clip(figures, -1.0, 1.0))


AT_ONCE = 1024
"""Queries whose similarities to all documents are held in memory together."""


def kept(answers: Batch, labels: np.ndarray, k: int, queries: int = 0) -> np.ndarray | None:
    """Of each query, the share of the original's `k` nearest documents by cosine that are the candidate's too, of shape
    (queries,). The last `queries` rows ask, and the rows before them are the documents; with 0, each row asks and all others
    are its documents.

    None for answers that are not one finite float vector a row like the original's, and where there are no more than `k`
    documents.
    """
    found = value_of(answers)
    if found is None or found.ndim != 2 or found.shape != labels.shape or labels.dtype.kind not in "biuf":
        return None
    documents = len(found) - (queries or 1)
    if documents <= k or not np.isfinite(found).all():
        return None
    both = [_directions(vectors) for vectors in (found, labels.astype(np.float64))]
    asking = np.arange(len(found) - queries if queries else 0, len(found))
    parts = []
    for start in range(0, len(asking), AT_ONCE):
        rows = asking[start : start + AT_ONCE]
        ours, theirs = (_nearest(vectors, rows, k, documents if queries else len(found), bool(queries)) for vectors in both)
        parts.append((ours & theirs).sum(axis=1) / k)
    return np.concatenate(parts)


def _directions(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1.0, lengths))


def _nearest(vectors: np.ndarray, rows: np.ndarray, k: int, documents: int, apart: bool) -> np.ndarray:
    """Which of the first vectors, the documents, are the `k` nearest to each of these rows: bool of shape (queries, documents);
    of equally near ones the first. No row is near to itself, unless queries are `apart` from documents."""
    similarity = vectors[rows] @ vectors[:documents].T
    if not apart:
        similarity[np.arange(len(rows)), rows] = -np.inf
    last = np.partition(similarity, documents - k, axis=1)[:, documents - k, None]
    nearer, level = similarity > last, similarity == last
    room = k - nearer.sum(axis=1, keepdims=True)
    return np.asarray(nearer | (level & (np.cumsum(level, axis=1) <= room)))
