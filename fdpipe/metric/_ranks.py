"""Correlations of ranks."""

from enum import StrEnum

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.metric._values import values_beside


class Of(StrEnum):
    """`spearman` is the correlation of the ranks (Spearman 1904), `kendall` the balance of the pairs in the same order and in
    the other one (tau-b, Kendall 1945)."""

    SPEARMAN = "spearman"
    KENDALL = "kendall"


def ranks_of(figures: np.ndarray) -> np.ndarray:
    """The ranks in each column from 1 on, of shape (rows, columns); equal figures share the mean of theirs."""
    ranks = np.empty(figures.shape)
    for column, found in zip(figures.T, ranks.T, strict=True):
        order = np.argsort(column)
        first = np.append(True, np.diff(column[order]) != 0)
        starts = np.append(np.flatnonzero(first), len(order))
        place = np.cumsum(first)
        found[order] = (starts[place - 1] + starts[place] + 1) / 2
    return ranks


def correlation(answers: Batch, labels: np.ndarray, of: Of) -> float:
    """The mean over the columns of values; NaN where there is none."""
    both = values_beside(answers, labels)
    if both is None or not all(np.isfinite(figures).all() and (np.ptp(figures, axis=0) > 0).all() for figures in both):
        return float("nan")
    found, wanted = both
    if of is Of.KENDALL:
        from scipy.stats import kendalltau

        return float(np.mean([kendalltau(*pair).statistic for pair in zip(found.T, wanted.T, strict=True)]))
    one, other = (ranks - ranks.mean(axis=0) for ranks in (ranks_of(found), ranks_of(wanted)))
    lengths = np.linalg.norm(one, axis=0) * np.linalg.norm(other, axis=0)
    return float(np.mean(np.sum(one * other, axis=0) / lengths))
