"""A slice for each value of a column, or for each range."""

import numpy as np
import pytest

from fdpipe.artifacts import Examples
from fdpipe.errors import ConfigError, NotApplicable
from fdpipe.slicer.by_column import ByColumn
from tests.contracts.settings import built
from tests.contracts.slicer import Sliced, SlicerContract


def test_its_file_builds() -> None:
    assert built("slicer", "by_column") == ByColumn()


def names(slicer: ByColumn, **features: np.ndarray) -> list[str]:
    return list(slicer.slices(Examples(features=features)))


class TestValues(SlicerContract):
    @pytest.fixture
    def slicer(self) -> ByColumn:
        return ByColumn()

    @pytest.fixture
    def sliced(self) -> Sliced:
        features = {"city": np.array(["bonn", "", "ulm", "bonn"], object), "doors": np.array([2, 4, 4, 2])}
        slices = {
            "city=bonn": [True, False, False, True],
            "city=ulm": [False, False, True, False],
            "city missing": [False, True, False, False],
            "doors=2": [True, False, False, True],
            "doors=4": [False, True, True, False],
        }
        return Sliced(examples=Examples(features=features), slices=slices)


class TestRanges(SlicerContract):
    @pytest.fixture
    def slicer(self) -> ByColumn:
        return ByColumn(columns=("x.1",), most=3, bins=2)

    @pytest.fixture
    def sliced(self) -> Sliced:
        x = np.zeros((7, 2), np.float32)
        x[:, 1] = [0.5, np.nan, 6, 1, 2, 3, 5]
        slices = {
            "x.1 0.5–2": [True, False, False, True, True, False, False],
            "x.1 3–6": [False, False, True, False, False, True, True],
            "x.1 missing": [False, True, False, False, False, False, False],
        }
        return Sliced(examples=Examples(features={"x": x}), slices=slices)


def test_ranges_hold_equally_many_rows_and_every_row_once() -> None:
    found = ByColumn(bins=4).slices(Examples(features={"age": np.random.default_rng(0).normal(size=400)}))
    assert [rows.sum() for rows in found.values()] == [100] * 4
    assert (np.sum(list(found.values()), axis=0) == 1).all()


def test_many_equal_values_make_fewer_ranges_and_none_is_empty() -> None:
    found = ByColumn(most=3, bins=4).slices(Examples(features={"n": np.array([0] * 90 + [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])}))
    assert [rows.sum() for rows in found.values()] == [100]
    assert list(found) == ["n 0–10"]


def test_ranges_that_are_close_have_names_of_their_own() -> None:
    assert len(set(names(ByColumn(most=2, bins=3), t=1e6 + np.arange(9) / 1000))) == 3


def test_a_column_that_is_not_there_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match=r"no column 'x\.2': it must be one of age, x of shape \(2,\)"):
        names(ByColumn(columns=("x.2",)), age=np.arange(3), x=np.zeros((3, 2)))


def test_what_has_no_groups_has_no_slices() -> None:
    with pytest.raises(NotApplicable, match="more than most=2 different texts"):
        names(ByColumn(most=2), text=np.array(["a", "b", "c"]))
    with pytest.raises(NotApplicable, match=r"name some in columns, as x\.3"):
        names(ByColumn(), x=np.zeros((3, 2)))


@pytest.mark.parametrize("wrong", [{"most": 1}, {"bins": 1}])
def test_there_are_at_least_two_groups(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        ByColumn(**wrong)  # type: ignore[arg-type]
