"""blur: pictures out of focus."""

from dataclasses import dataclass

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.errors import NotApplicable

CHANNELS = 4
"""An axis of a picture that is no longer than this holds its colours."""


@dataclass(frozen=True, kw_only=True)
class Blur:
    """A Gaussian filter over height and width, of `sigma` pixels. Pictures are arrays of shape (rows, height, width), and those
    with a short axis of colours before or behind these two. `shape` is the height and width of those that lie in a flat row."""

    sigma: float = 1.0
    shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Some blur, and a shape that a picture has."""
        if not 0 < self.sigma <= 1000:
            raise ValueError("sigma must be above 0 and at most 1000")
        if len(self.shape) not in (0, 2) or any(side < 2 for side in self.shape):
            raise ValueError("shape must be height and width, each at least 2, or nothing")

    def corrupt(self, features: Batch, random: np.random.Generator) -> dict[str, np.ndarray]:
        """The pictures blurred, and the rest as it is."""
        found = {name: self._blurred(array) for name, array in features.items()}
        if all(picture is None for picture in found.values()):
            shapes = ", ".join(f"{name} {array.shape[1:]}" for name, array in features.items())
            raise NotApplicable(f"no feature is a picture ({shapes}): corruption.blur.shape says what lies in a flat row")
        return {name: array if (picture := found[name]) is None else picture for name, array in features.items()}

    def _blurred(self, array: np.ndarray) -> np.ndarray | None:
        """None for what is no picture."""
        from scipy.ndimage import gaussian_filter

        pictures = array
        if self.shape and array.ndim == 2 and array.shape[1] == self.shape[0] * self.shape[1]:
            pictures = array.reshape(len(array), *self.shape)
        axes = _sides(pictures.shape)
        if axes is None or array.dtype.kind not in "iuf":
            return None
        blurred: np.ndarray = gaussian_filter(pictures.astype(np.float64), self.sigma, mode="nearest", axes=axes).reshape(
            array.shape
        )
        return (np.rint(blurred) if array.dtype.kind in "iu" else blurred).astype(array.dtype)


def _sides(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """The axes of height and width."""
    axes = {3: (1, 2), 4: (2, 3) if len(shape) == 4 and shape[1] <= CHANNELS else (1, 2)}.get(len(shape))
    if axes is None or (len(shape) == 4 and min(shape[1], shape[3]) > CHANNELS):
        return None
    return axes if min(shape[axis] for axis in axes) > 1 else None
