"""A histogram that grows its range: the rows are read once, and neither their order nor the size of batches changes it."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fdpipe import activations
from fdpipe.arrays import Batch

BLOCK = 2**16
"""Values counted at once: what is made on the way stays in the processor's cache."""

SMALLEST = -60
"""Of the exponents. What is nearer to 0 than 2 to this power may count as 0."""


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Values from `low` to `high` in bins of equal width over [-2^exponent, 2^exponent), half of the bins below 0.

    The exponent is the smallest that holds all values, and a bin of a wider histogram is exactly some of a narrower one's:
    so the sum of two is that of their values together. `zeros` of the values are exactly 0, and counted in a bin as well.
    """

    low: float
    high: float
    exponent: int
    zeros: int
    counts: np.ndarray

    @property
    def width(self) -> float:
        """Of a bin."""
        return math.ldexp(2 / len(self.counts), self.exponent)

    @property
    def edges(self) -> np.ndarray:
        """Between which the bins lie, one more than there are bins."""
        half = len(self.counts) // 2
        return np.arange(-half, half + 1) * self.width

    def widened(self, exponent: int) -> np.ndarray:
        """The counts over the range of a larger exponent."""
        if exponent == self.exponent:
            return self.counts
        half = len(self.counts) // 2
        moved = (np.arange(-half, half) >> min(exponent - self.exponent, 62)) + half
        counts = np.zeros_like(self.counts)
        np.add.at(counts, moved, self.counts)
        return counts

    def __add__(self, other: "Histogram") -> "Histogram":
        """Of the values of both."""
        exponent = max(self.exponent, other.exponent)
        return Histogram(
            low=min(self.low, other.low),
            high=max(self.high, other.high),
            exponent=exponent,
            zeros=self.zeros + other.zeros,
            counts=self.widened(exponent) + other.widened(exponent),
        )


def histogram(values: np.ndarray, bins: int) -> Histogram:
    """Of flat, finite values, at least one; with `bins` bins, an even number."""
    low, high = activations.extremes(values)
    largest = max(-low, high)
    exponent = max(math.frexp(largest)[1], SMALLEST) if largest else SMALLEST
    dtype = np.dtype(np.float32) if values.dtype == np.float16 else values.dtype
    half = bins // 2
    scale = dtype.type(math.ldexp(half, -exponent))
    counts = np.zeros(bins, np.int64)
    zeros = 0
    for start in range(0, values.size, BLOCK):
        block = values[start : start + BLOCK]
        places = np.floor(np.multiply(block, scale, dtype=dtype)).astype(np.intp)
        places += half
        counts += np.bincount(places, minlength=bins)
        zeros += int(np.count_nonzero(block == 0))
    return Histogram(low=low, high=high, exponent=exponent, zeros=zeros, counts=counts)


def ranges(
    model: Path, batches: Callable[[], Iterable[Batch]], bins: int, of: Callable[[Histogram], tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """What `of` says of the histogram of each float tensor's finite values over all batches."""
    found = activations.values_inside(model, batches(), lambda values: histogram(values, bins), Histogram.__add__)
    chosen = {id(one): of(one) for one in found.values()}  # tensors of the same values share theirs
    return {name: chosen[id(one)] for name, one in found.items()}


def check_bins(bins: int) -> None:
    """`ValueError` for too few to tell 8 bits apart, and for an odd number."""
    if bins < FEWEST_BINS or bins % 2:
        raise ValueError(f"bins must be even and at least {FEWEST_BINS}")


FEWEST_BINS = 1024
"""Half of them may be empty, and of the rest each of the 256 steps has two."""
