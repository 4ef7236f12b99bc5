"""Ranges that lose the least information: rare large values are clipped where that makes the steps finer for the rest."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from fdpipe import graphs
from fdpipe.arrays import Batch

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Entropy:
    """The threshold for which the quantized distribution differs least from the original, by Kullback-Leibler divergence:
    Szymon Migacz, "8-bit inference with TensorRT", GTC 2017.

    The rows are read twice: for the extremes, then for a histogram of magnitudes with `bins` bins for each tensor. Both
    tails are clipped at the same threshold, inside of which lie at least `percentile` % of the values: on few rows the
    divergence alone may clip away what matters.
    """

    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")

    bins: int = 2048
    percentile: float = 99.9

    def __post_init__(self) -> None:
        """Ranges."""
        if self.bins < 2 * LEVELS_OF_POSITIVE:
            raise ValueError(f"bins must be at least {2 * LEVELS_OF_POSITIVE}")
        if not 0 <= self.percentile <= 100:
            raise ValueError("percentile must be from 0 to 100")

    def collect(self, model: Path, batches: Callable[[], Iterable[Batch]]) -> Mapping[str, Range]:
        """(low, high) of every float tensor."""
        ranges = graphs.extremes(model, batches())
        counts = {name: np.zeros(self.bins) for name in ranges}
        for values in graphs.values_inside(model, batches()):
            for name in ranges:
                magnitudes = np.abs(values[name]).astype(np.float64)  # the edges of the bins have this type, too
                counts[name] += np.histogram(magnitudes, bins=self.bins, range=(0, _largest(ranges[name])))[0]
        return {name: self._clipped(ranges[name], counts[name]) for name in ranges}

    def _clipped(self, whole: Range, counts: np.ndarray) -> Range:
        low, high = whole
        kept = self._kept(counts, LEVELS if low < 0 else LEVELS_OF_POSITIVE)
        threshold = _largest(whole) * kept / self.bins
        return max(low, -threshold), min(high, threshold)

    def _kept(self, counts: np.ndarray, levels: int) -> int:
        """How many bins, from 0 on, lie below the best threshold."""
        needed = 1 + int(np.searchsorted(counts.cumsum(), counts.sum() * self.percentile / 100))
        choices = range(max(levels, min(needed, self.bins)), self.bins + 1)
        return min(choices, key=lambda kept: divergence(counts, kept, levels))


LEVELS = 128
"""The steps for magnitudes where uint8 covers both signs."""

LEVELS_OF_POSITIVE = 256
"""The steps where there are no negative values, as behind a Relu."""

FLOOR = 1e-4
"""Stands for the probability 0 in the quantized distribution, whose logarithm would be infinite."""


def divergence(counts: np.ndarray, kept: int, levels: int) -> float:
    """Between the histogram clipped to its first `kept` bins and the same in `levels` steps."""
    inside = counts[:kept]
    clipped = inside.copy()
    clipped[-1] += counts[kept:].sum()
    step = np.arange(kept) * levels // kept
    filled = inside > 0
    totals = np.bincount(step, weights=inside, minlength=levels)
    shares = totals / np.maximum(np.bincount(step, weights=filled, minlength=levels), 1)
    quantized = np.where(filled, shares[step], 0.0)
    p = clipped / clipped.sum()
    q = np.maximum(quantized / max(quantized.sum(), 1), FLOOR / kept)
    present = p > 0
    return float(np.sum(p[present] * np.log(p[present] / q[present])))


def _largest(whole: Range) -> float:
    """The largest magnitude; 1 where all values are 0, so that a histogram has a width."""
    return max(abs(whole[0]), abs(whole[1])) or 1.0
