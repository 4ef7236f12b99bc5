"""The fake slicer."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fdpipe.artifacts import Examples


@dataclass(frozen=True, kw_only=True)
class FakeSlicer:
    """Two slices: the first `share` of the rows, and the rest."""

    share: float = 0.5

    def slices(self, examples: Examples) -> Mapping[str, np.ndarray]:
        """`first` and `rest`."""
        first = np.arange(len(examples)) < self.share * len(examples)
        return {"first": first, "rest": ~first}
