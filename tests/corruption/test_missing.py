"""Values that were not there."""

import numpy as np
import pytest

from fdpipe.corruption.missing import Fill, Missing
from fdpipe.errors import NotApplicable
from tests.contracts.corruption import CorruptionContract, Features
from tests.contracts.settings import built


def rows(count: int = 400) -> Features:
    return {
        "x": np.ones((count, 3), np.float32),
        "n": np.full(count, 7),
        "text": np.full(count, "word", object),
        "city": np.full(count, "ulm"),
    }


def test_its_file_builds() -> None:
    assert built("corruption", "missing") == Missing()


class TestMissing(CorruptionContract):
    @pytest.fixture
    def corruption(self) -> Missing:
        return Missing(share=0.5)

    @pytest.fixture
    def features(self) -> Features:
        return rows(20)


def test_what_stands_for_a_value() -> None:
    found = Missing(share=0.25).corrupt(rows(), np.random.default_rng(0))
    gone = {"x": np.isnan(found["x"]), "n": found["n"] == 0, "text": found["text"] == "", "city": found["city"] == ""}
    for name, there in gone.items():
        assert there.mean() == pytest.approx(0.25, abs=0.06), name
        np.testing.assert_array_equal(found[name][~there], rows()[name][~there])
    assert found["city"].dtype == rows()["city"].dtype


def test_a_model_that_takes_no_nan_gets_zeros() -> None:
    found = Missing(share=0.5, fill=Fill.ZERO).corrupt(rows(), np.random.default_rng(0))["x"]
    assert set(np.unique(found)) == {0.0, 1.0}


def test_what_loses_nothing_is_not_corrupted() -> None:
    with pytest.raises(NotApplicable, match=r"share=0\.001"):
        Missing(share=0.001).corrupt({"x": np.ones(2)}, np.random.default_rng(0))


@pytest.mark.parametrize("share", [0, 1.1])
def test_the_share_is_one(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        Missing(share=share)
