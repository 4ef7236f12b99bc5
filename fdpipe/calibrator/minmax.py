"""Ranges from the smallest to the largest value seen."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fdpipe import activations
from fdpipe.arrays import Batch


@dataclass(frozen=True, kw_only=True)
class MinMax:
    """Nothing is clipped; one outlier among the calibration rows widens the steps for all values.

    With `inputs_only` the model is not run, and may be of any kind: for a quantizer that calibrates by itself, while the
    release is to be watched for inputs outside of what calibration saw.
    """

    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")

    inputs_only: bool = False

    def collect(self, model: Path, batches: Callable[[], Iterable[Batch]]) -> Mapping[str, tuple[float, float]]:
        """(low, high) of the finite values of every float tensor, or float input."""
        if self.inputs_only:
            return activations.values_going_in(batches(), activations.extremes, activations.wider)
        return activations.values_inside(model, batches(), activations.extremes, activations.wider)
