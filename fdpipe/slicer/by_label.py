"""by_label: the rows of each class."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fdpipe.artifacts import Examples
from fdpipe.errors import NotApplicable


@dataclass(frozen=True, kw_only=True)
class ByLabel:
    """A slice for each label; of more than `most` different ones there is none: they are no classes."""

    most: int = 100

    def __post_init__(self) -> None:
        """At least two classes."""
        if self.most < 2:
            raise ValueError("most must be at least 2")

    def slices(self, examples: Examples) -> Mapping[str, np.ndarray]:
        """By the label as text."""
        if examples.labels is None:
            raise NotApplicable("the rows have no labels")
        labels = examples.labels.reshape(len(examples.labels), -1)
        if labels.shape[1] != 1:
            raise NotApplicable(f"a label is {labels.shape[1]} figures, and no class")
        classes = np.unique(labels)
        if len(classes) > self.most:
            raise NotApplicable(f"there are {len(classes)} different labels, more than most={self.most}")
        return {str(one): labels[:, 0] == one for one in classes}
