"""A slice for each class."""

import numpy as np
import pytest

from fdpipe.artifacts import Examples
from fdpipe.errors import NotApplicable
from fdpipe.slicer.by_label import ByLabel
from tests.contracts.settings import built
from tests.contracts.slicer import Sliced, SlicerContract

X = np.zeros((4, 1), np.float32)


def test_its_file_builds() -> None:
    assert built("slicer", "by_label") == ByLabel()


class TestByLabel(SlicerContract):
    @pytest.fixture
    def slicer(self) -> ByLabel:
        return ByLabel()

    @pytest.fixture
    def sliced(self) -> Sliced:
        slices = {"0": [True, False, False, True], "2": [False, True, True, False]}
        return Sliced(examples=Examples(features={"x": X}, labels=np.array([0, 2, 2, 0])), slices=slices)


@pytest.mark.parametrize("labels", [None, np.zeros((4, 2)), np.arange(4)])
def test_what_has_no_classes_has_no_slices(labels: np.ndarray | None) -> None:
    with pytest.raises(NotApplicable):
        ByLabel(most=3).slices(Examples(features={"x": X}, labels=labels))
