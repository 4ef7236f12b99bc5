"""Groups of rows by whatever can be computed from a row: here by which of its two inputs is the greater."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fdpipe.artifacts import Examples
from fdpipe.errors import NotApplicable


@dataclass(frozen=True, kw_only=True)
class ByFunction:
    """Compares the mean of the input `a` with `times` that of the input `b`."""

    times: float = 1.0

    def slices(self, examples: Examples) -> Mapping[str, np.ndarray]:
        """Two slices, of which each row is in one."""
        if not {"a", "b"} <= set(examples.features):
            raise NotApplicable("the rows have no inputs a and b")
        a, b = (examples.features[name].reshape(len(examples), -1).mean(axis=1) for name in ("a", "b"))
        return {"a above": a > self.times * b, "b above": a <= self.times * b}
