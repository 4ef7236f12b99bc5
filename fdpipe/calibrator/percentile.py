"""Ranges that leave out a fixed share of the values, at each end."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.calibrator._histogram import Histogram, check_bins, ranges


@dataclass(frozen=True, kw_only=True)
class Percentile:
    """The range that clips at most 100 - `percentile` % of a tensor's values at each end: Wu et al., "Integer quantization
    for deep learning inference: principles and empirical evaluation", arXiv:2004.09602, section 3.3, there for magnitudes.

    It is exact to a bin of a histogram with `bins` bins, whose outer edges are taken. A side that does not lie beyond 0 stays
    as it is: 0 is within what is quantized anyway.
    """

    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")

    percentile: float = 99.99
    bins: int = 8192

    def __post_init__(self) -> None:
        """Ranges."""
        if not 50 < self.percentile <= 100:
            raise ValueError("percentile must be above 50 and at most 100")
        check_bins(self.bins)

    def collect(self, model: Path, batches: Callable[[], Iterable[Batch]]) -> Mapping[str, tuple[float, float]]:
        """(low, high) of every float tensor."""
        return ranges(model, batches, self.bins, self._clipped)

    def _clipped(self, found: Histogram) -> tuple[float, float]:
        clipped = found.counts.sum() * (1 - self.percentile / 100)
        below, above = (np.searchsorted(counts.cumsum(), clipped, "right") for counts in (found.counts, found.counts[::-1]))
        low, high = found.edges[below], found.edges[len(found.counts) - above]
        kept_low = max(found.low, float(low)) if found.low < 0 else found.low
        return kept_low, min(found.high, float(high)) if found.high > 0 else found.high
