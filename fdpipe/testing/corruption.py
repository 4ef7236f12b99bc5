"""The fake corruption."""

from dataclasses import dataclass

import numpy as np

from fdpipe.arrays import Batch


@dataclass(frozen=True, kw_only=True)
class FakeCorruption:
    """Nothing is left of any number."""

    def corrupt(self, features: Batch, random: np.random.Generator) -> dict[str, np.ndarray]:
        """Zeros."""
        return {name: np.zeros_like(array) for name, array in features.items()}
