"""What every dataset must do."""

import numpy as np

from fdpipe.arrays import array_digest
from fdpipe.artifacts import ModelRef
from fdpipe.interfaces import Dataset

REF = ModelRef(name="tiny", version="1", uri="models:/tiny/1", digest="0" * 64)


class DatasetContract:
    """Inherit it, with the fixtures `dataset` and `ref`; the rows are `FEATURES` and `LABELS`."""

    def test_its_identity_stays_and_its_rows_too(self, dataset: Dataset, ref: ModelRef) -> None:
        assert dataset.identity(ref) == dataset.identity(ref) != ""
        first, second = dataset.read(ref), dataset.read(ref)
        assert array_digest(first.features) == array_digest(second.features)

    def test_has_the_rows(self, dataset: Dataset, ref: ModelRef) -> None:
        rows = dataset.read(ref)
        assert set(rows.features) == set(FEATURES)
        assert len(rows) == len(LABELS)
        for name, wanted in FEATURES.items():
            np.testing.assert_array_equal(rows.features[name], wanted)
            assert rows.features[name].dtype.kind == wanted.dtype.kind
        assert rows.labels is not None
        np.testing.assert_array_equal(rows.labels, LABELS)


FEATURES = {
    "age": np.array([1.5, np.nan, 3.0]),
    "town": np.array(["Ulm", "", "Köln"]),
    "children": np.array([0, 2, 1]),
    "member": np.array([True, False, True]),
}
LABELS = np.array([1, 0, 1])
