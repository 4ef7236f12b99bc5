"""Rows in memory."""

import numpy as np
import pytest

from fdpipe import workers
from fdpipe.artifacts import ModelRef
from fdpipe.content import fingerprint
from fdpipe.dataset.arrays import Arrays
from fdpipe.errors import ConfigError
from tests.contracts.dataset import FEATURES, LABELS, REF, DatasetContract


class TestArrays(DatasetContract):
    @pytest.fixture
    def dataset(self) -> Arrays:
        return Arrays(features=FEATURES, labels=LABELS)

    @pytest.fixture
    def ref(self) -> ModelRef:
        return REF

    def test_the_content_is_its_identity_in_a_stages_key_too(self, dataset: Arrays) -> None:
        same = Arrays(features={name: array.copy() for name, array in FEATURES.items()}, labels=LABELS.copy())
        other = Arrays(features={**FEATURES, "children": np.array([0, 2, 2])}, labels=LABELS)
        unlabelled = Arrays(features=FEATURES)
        assert fingerprint(dataset) == fingerprint(same)
        assert len({fingerprint(item) for item in (dataset, other, unlabelled)}) == 3
        assert len({item.identity(REF) for item in (dataset, other, unlabelled)}) == 3

    def test_cannot_be_written_down(self, dataset: Arrays) -> None:
        with pytest.raises(ConfigError, match="in memory"):
            workers.describe(dataset)
