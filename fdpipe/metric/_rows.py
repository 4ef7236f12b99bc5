"""Figures row by row: their mean, and what stands for them where there are none."""

import math

import numpy as np


def mean(figures: np.ndarray) -> float:
    """Over all rows; NaN over none."""
    return float(figures.mean()) if len(figures) else float("nan")


def flat(array: np.ndarray) -> np.ndarray:
    """All figures of a row beside each other, of shape (rows, figures)."""
    return array.reshape(len(array), math.prod(array.shape[1:]))


def none(labels: np.ndarray) -> np.ndarray:
    """NaN for each row."""
    return np.full(len(labels), np.nan)
