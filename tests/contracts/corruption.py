"""What every corruption must do."""

from collections.abc import Mapping

import numpy as np

from fdpipe import workers
from fdpipe.interfaces import Corruption

Features = Mapping[str, np.ndarray]


class CorruptionContract:
    """Inherit it, with the fixtures `corruption` and `features`, which are rows that it can corrupt."""

    def test_is_made_again_from_its_settings(self, corruption: Corruption) -> None:
        assert workers.build("corruption", workers.describe(corruption)) == corruption

    def test_shapes_and_dtypes_stay(self, corruption: Corruption, features: Features) -> None:
        found = corruption.corrupt(features, np.random.default_rng(0))
        assert {name: (array.shape, array.dtype.kind) for name, array in found.items()} == {
            name: (array.shape, array.dtype.kind) for name, array in features.items()
        }

    def test_something_changes_and_the_rows_given_do_not(self, corruption: Corruption, features: Features) -> None:
        before = {name: array.copy() for name, array in features.items()}
        found = corruption.corrupt(features, np.random.default_rng(0))
        assert any(not np.array_equal(found[name], array) for name, array in before.items())
        for name, array in before.items():
            np.testing.assert_array_equal(features[name], array)

    def test_the_same_seed_gives_the_same_rows(self, corruption: Corruption, features: Features) -> None:
        one, other = (corruption.corrupt(features, np.random.default_rng(7)) for _ in range(2))
        for name, array in one.items():
            np.testing.assert_array_equal(array, other[name])
