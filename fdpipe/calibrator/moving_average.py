"""Ranges that follow the batches' extremes slowly: a rare outlier widens them little."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fdpipe import activations
from fdpipe.activations import Range
from fdpipe.arrays import Batch


@dataclass(frozen=True, kw_only=True)
class MovingAverage:
    """The exponential moving average of each batch's smallest and largest value: Jacob et al., "Quantization and training of
    neural networks for efficient integer-arithmetic-only inference", CVPR 2018, section 3.1.

    It begins with the first batch's, and each further one counts with `weight`. The order of the rows matters, and how many
    are in a batch: with few in each, the ranges are narrower.
    """

    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")

    weight: float = 0.01

    def __post_init__(self) -> None:
        """Ranges."""
        if not 0 < self.weight <= 1:
            raise ValueError("weight must be above 0 and at most 1")

    def collect(self, model: Path, batches: Callable[[], Iterable[Batch]]) -> Mapping[str, Range]:
        """(low, high) of the finite values of every float tensor."""
        return activations.values_inside(model, batches(), activations.extremes, self._moved)

    def _moved(self, average: Range, newest: Range) -> Range:
        low, high = ((1 - self.weight) * old + self.weight * new for old, new in zip(average, newest, strict=True))
        return low, high
