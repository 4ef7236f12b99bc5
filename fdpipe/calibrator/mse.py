"""Ranges with the least mean squared error between the values and what 8 bits make of them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.calibrator._histogram import Histogram, check_bins, ranges

SHARES = np.linspace(1 / 64, 1, 64)
"""Of the whole extent, at which a side may be clipped."""

ROUNDS = 2
"""In which each side is chosen anew, beside what the other has become."""


@dataclass(frozen=True, kw_only=True)
class Mse:
    """Clipping rare large values costs them, and makes the steps finer for all others: the range where the sum is least, as
    in Nagel et al., "A white paper on neural network quantization", arXiv:2106.08295, section 3.1.

    The error is that of uint8 with a zero point, by a histogram of `bins` bins. Both sides are clipped by the same share
    first, and then each by its own.
    """

    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")

    bins: int = 8192

    def __post_init__(self) -> None:
        """Ranges."""
        check_bins(self.bins)

    def collect(self, model: Path, batches: Callable[[], Iterable[Batch]]) -> Mapping[str, tuple[float, float]]:
        """(low, high) of every float tensor."""
        return ranges(model, batches, self.bins, clipped)


def clipped(found: Histogram) -> tuple[float, float]:
    """The best range. A side that does not lie beyond 0 stays as it is: 0 is within what is quantized anyway."""
    if found.low == found.high:
        return found.low, found.high
    errors = Errors(found)
    lows = found.low * SHARES if found.low < 0 else np.full(len(SHARES), found.low)
    highs = found.high * SHARES if found.high > 0 else np.full(len(SHARES), found.high)
    best = int(np.argmin(errors.of(lows, highs)))
    low, high = lows[best], highs[best]
    for _ in range(ROUNDS):
        high = highs[np.argmin(errors.of(np.full_like(highs, low), highs))]
        low = lows[np.argmin(errors.of(lows, np.full_like(lows, high)))]
    return float(low), float(high)


class Errors:
    """The squared error of uint8 in any range. Inside a bin the values are taken as spread evenly; those that are exactly 0
    have no error in any."""

    def __init__(self, found: Histogram) -> None:
        counts = found.counts.astype(np.float64)
        counts[len(counts) // 2] -= found.zeros
        self.first, self.width, self.counts = found.edges[0], found.width, counts
        self.starts = found.edges[:-1]
        moments = (counts * _moment(self.starts, self.width, power) for power in range(3))
        self.sums = [np.concatenate([[0.0], each.cumsum()]) for each in moments]

    def of(self, lows: np.ndarray, highs: np.ndarray) -> np.ndarray:
        """The sum of squared errors for each range, shape (ranges,)."""
        low, high = np.minimum(lows, 0)[:, None], np.maximum(highs, 0)[:, None]
        step = (high - low) / 255
        levels = np.arange(256) - np.round(-low / step)
        below = self._below((levels[:, 1:] - 0.5) * step)
        number, total, squares = (_between(sums, one[-1]) for sums, one in zip(below, self.sums, strict=True))
        values = levels * step
        return np.asarray(np.sum(squares - 2 * values * total + values**2 * number, axis=1))

    def _below(self, borders: np.ndarray) -> list[np.ndarray]:
        """The sums of all powers from 0 to 2 of the values below the borders."""
        place = np.clip((borders - self.first) / self.width, 0, len(self.counts))
        whole = np.minimum(place.astype(np.intp), len(self.counts) - 1)
        part = (place - whole) * self.width
        density = self.counts[whole] / self.width
        return [self.sums[power][whole] + density * part * _moment(self.starts[whole], part, power) for power in range(3)]


def _moment(start: np.ndarray, width: np.ndarray | float, power: int) -> np.ndarray | float:
    """The mean of the values to this power where they are spread evenly from `start` on."""
    if power == 0:
        return 1.0
    return start + width / 2 if power == 1 else start**2 + start * width + width**2 / 3


def _between(below: np.ndarray, whole: float) -> np.ndarray:
    """From what lies below each border, what lies between them, and beyond the outermost."""
    return np.diff(below, axis=1, prepend=0.0, append=whole)
