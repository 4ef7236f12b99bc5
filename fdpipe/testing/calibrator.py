"""The fake calibrator."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fdpipe.arrays import Batch


@dataclass(frozen=True, kw_only=True)
class FakeCalibrator:
    """The least and the greatest value of each input."""

    packages: ClassVar[tuple[str, ...]] = ()

    def collect(self, model: Path, batches: Callable[[], Iterable[Batch]]) -> dict[str, tuple[float, float]]:
        """Batch by batch."""
        found: dict[str, tuple[float, float]] = {}
        for batch in batches():
            for name, array in batch.items():
                low, high = found.get(name, (float("inf"), float("-inf")))
                found[name] = (min(low, float(array.min())), max(high, float(array.max())))
        return found
