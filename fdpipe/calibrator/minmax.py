"""Ranges from the smallest to the largest value seen."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fdpipe import graphs
from fdpipe.arrays import Batch


@dataclass(frozen=True, kw_only=True)
class MinMax:
    """Nothing is clipped; one outlier among the calibration rows widens the steps for all values."""

    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")

    def collect(self, model: Path, batches: Callable[[], Iterable[Batch]]) -> Mapping[str, tuple[float, float]]:
        """(low, high) of every float tensor's finite values."""
        return graphs.extremes(model, batches())
