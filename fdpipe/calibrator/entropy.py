"""Ranges that lose the least information: rare large values are clipped where that makes the steps finer for the rest."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.calibrator._histogram import Histogram, check_bins, ranges


@dataclass(frozen=True, kw_only=True)
class Entropy:
    """The range for which the quantized distribution differs least from the original, by Kullback-Leibler divergence:
    Szymon Migacz, "8-bit inference with TensorRT", GTC 2017.

    He clips magnitudes; here, since uint8 has a zero point, the values themselves are counted, in a histogram of `bins`
    bins, and each end is clipped by itself, the one farther from 0 first. At each, at least `percentile` % of the values
    stay inside: on few rows the divergence alone may clip away what matters.
    """

    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")

    bins: int = 8192
    percentile: float = 99.9

    def __post_init__(self) -> None:
        """Ranges."""
        check_bins(self.bins)
        if not 0 <= self.percentile <= 100:
            raise ValueError("percentile must be from 0 to 100")

    def collect(self, model: Path, batches: Callable[[], Iterable[Batch]]) -> Mapping[str, tuple[float, float]]:
        """(low, high) of every float tensor."""
        return ranges(model, batches, self.bins, self._clipped)

    def _clipped(self, found: Histogram) -> tuple[float, float]:
        first, last = self._kept(found)
        low, high = float(found.edges[first]), float(found.edges[last])
        return max(found.low, low), min(found.high, high)

    def _kept(self, found: Histogram) -> tuple[int, int]:
        """The bins that are kept, from the first to before the last. Those between 0 and the values always are: 0 is within
        what is quantized anyway."""
        zero = len(found.counts) // 2
        filled = np.flatnonzero(found.counts)
        first, last = min(int(filled[0]), zero), max(int(filled[-1]) + 1, zero)
        for upper in (True, False) if last - zero >= zero - first else (False, True):
            if upper:
                last = first + self._below(found.counts[first:last], zero - first)
            else:
                first = last - self._below(found.counts[first:last][::-1], last - zero)
        return first, last

    def _below(self, counts: np.ndarray, at_least: int) -> int:
        """How many bins lie below the best threshold."""
        needed = 1 + int(np.searchsorted(counts.cumsum(), counts.sum() * self.percentile / 100))
        fewest = min(max(LEVELS, at_least, needed), len(counts))
        kept = np.unique(np.linspace(fewest, len(counts), THRESHOLDS).astype(np.intp))
        return int(kept[np.argmin(divergences(counts, kept))])


LEVELS = 256
"""The steps of uint8."""

THRESHOLDS = 512
"""Tried at an end, at most; evenly spread."""

FLOOR = 1e-4
"""Stands for the probability 0 in the quantized distribution, whose logarithm would be infinite."""


def divergences(counts: np.ndarray, kept: np.ndarray, levels: int = LEVELS) -> np.ndarray:
    """Between the histogram clipped to its first `kept` bins and the same in `levels` steps, for each of the numbers in
    `kept`. The sums over bins are differences of running sums: within a step, all filled bins have the same probability."""
    number, filled, information = (_running(one) for one in (counts, counts > 0, _times_log(counts)))
    borders = -(-np.arange(levels + 1) * kept[:, None] // levels)
    inside, whole = number[kept], number[-1]
    clipped, last = whole - inside, counts[kept - 1]
    floor = FLOOR / kept
    totals, bins = np.diff(number[borders], axis=1), np.diff(filled[borders], axis=1)
    shares = np.maximum(totals / np.maximum(bins, 1) / np.maximum(inside, 1)[:, None], floor[:, None])
    of_last = np.where(last > 0, shares[:, -1], floor)
    entropy = (information[kept] - _times_log(last) + _times_log(last + clipped)) / whole - np.log(whole)
    return np.asarray(entropy - (np.sum(totals * np.log(shares), axis=1) + clipped * np.log(of_last)) / whole)


def _running(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], values.cumsum(dtype=np.float64)])


def _times_log(values: np.ndarray) -> np.ndarray:
    return np.asarray(values * np.log(np.maximum(values, 1)))
