"""What every slicer must do."""

from dataclasses import dataclass

import numpy as np

from fdpipe import workers
from fdpipe.artifacts import Examples
from fdpipe.interfaces import Slicer


@dataclass(frozen=True, kw_only=True)
class Sliced:
    """Rows, and which of them are in each slice."""

    examples: Examples
    slices: dict[str, list[bool]]


class SlicerContract:
    """Inherit it, with the fixtures `slicer` and `sliced`."""

    def test_is_made_again_from_its_settings(self, slicer: Slicer) -> None:
        assert workers.build("slicer", workers.describe(slicer)) == slicer

    def test_its_slices(self, slicer: Slicer, sliced: Sliced) -> None:
        found = slicer.slices(sliced.examples)
        assert {name: rows.tolist() for name, rows in found.items()} == sliced.slices
        assert all(rows.dtype == bool for rows in found.values())

    def test_changes_no_row(self, slicer: Slicer, sliced: Sliced) -> None:
        before = {name: array.copy() for name, array in sliced.examples.features.items()}
        slicer.slices(sliced.examples)
        for name, array in sliced.examples.features.items():
            np.testing.assert_array_equal(array, before[name])
