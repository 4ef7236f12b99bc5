"""Batches."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra.numpy import array_shapes, arrays, floating_dtypes, integer_dtypes

from fdpipe.arrays import (
    Batch,
    array_digest,
    check_names,
    fit,
    in_batches,
    join,
    label_of,
    load_arrays,
    row_digests,
    rows_in,
    save_arrays,
    take,
    value_of,
)

BATCH = {"x": np.arange(10.0).reshape(5, 2), "town": np.array(["a", "b", "", "ü", "dd"])}


def test_cut_and_joined_again_it_is_the_same() -> None:
    parts = [take(BATCH, slice(0, 2)), take(BATCH, np.array([2, 3, 4]))]
    assert array_digest(join(parts)) == array_digest(BATCH)
    assert (rows_in(BATCH), rows_in({})) == (5, 0)


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_any_batch_size_asks_all_rows_in_order(size: int) -> None:
    asked: list[int] = []

    def run(batch: Batch) -> dict[str, np.ndarray]:
        asked.append(len(batch["x"]))
        return {"sum": batch["x"].sum(axis=1)}

    assert in_batches(BATCH, size, run)["sum"].tolist() == [1, 5, 9, 13, 17]
    assert max(asked) <= size


def test_no_rows_are_a_batch_too() -> None:
    found = in_batches(take(BATCH, slice(0, 0)), 2, lambda batch: {"sum": batch["x"].sum(axis=1)})
    assert found["sum"].shape == (0,)


@given(arrays(floating_dtypes(sizes=(32, 64)) | integer_dtypes(), array_shapes(max_dims=3, max_side=4)))
def test_an_npz_gives_back_what_was_saved(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("npz") / "x.npz"
    digest = save_arrays(path, {"x": array})
    np.testing.assert_array_equal(load_arrays(path)["x"], array)
    assert array_digest(load_arrays(path)) == digest


def test_strings_are_saved_as_text_and_objects_never_unpickled(tmp_path: Path) -> None:
    digest = save_arrays(tmp_path / "x.npz", {"s": np.array(["a", "ü"], object)})
    assert digest == array_digest({"s": np.array(["a", "ü"])})
    assert load_arrays(tmp_path / "x.npz")["s"].dtype.kind == "U"
    np.savez(tmp_path / "x.npz", s=np.array([{"a": 1}], object))
    with pytest.raises(ValueError, match="allow_pickle"):
        load_arrays(tmp_path / "x.npz")


def test_the_digest_sees_names_types_shapes_and_values() -> None:
    x = np.arange(4.0)
    others: list[Batch] = [{"y": x}, {"x": x.astype(np.float32)}, {"x": x.reshape(2, 2)}, {"x": x + 1}, {"x": x, "y": x}]
    assert len({array_digest(item) for item in [{"x": x}, *others]}) == 6
    assert array_digest({"a": x, "b": x}) == array_digest({"b": x, "a": x})


class TestRowDigests:
    def test_equal_rows_only(self) -> None:
        rows = {"x": np.array([[1.0, 2], [2, 1], [1, 2]]), "town": np.array(["a", "a", "a"])}
        first, second, third = row_digests(rows)
        assert first == third != second

    @pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.int8, np.uint16])
    def test_the_type_does_not_count(self, kind: type) -> None:
        plain = {"x": np.array([1.0, 2.0, 3.0]), "s": np.array(["a", "b", "c"])}
        assert row_digests({"x": plain["x"].astype(kind), "s": np.array(["a", "b", "c"], object)}) == row_digests(plain)

    def test_strings_of_other_lengths_beside_them_do_not_count(self) -> None:
        assert row_digests({"s": np.array(["a", "long one"])})[0] == row_digests({"s": np.array(["a"])})[0]

    def test_text_that_runs_over_is_another_row(self) -> None:
        one, other = ({"a": np.array([a]), "b": np.array([b])} for a, b in (("xy", "z"), ("x", "yz")))
        assert row_digests(one) != row_digests(other)

    def test_large_whole_numbers_are_told_apart(self) -> None:
        first, second = row_digests({"id": np.array([2**40, 2**40 + 1])})
        assert first != second

    def test_missing_values_and_both_zeros_are_equal(self) -> None:
        assert len(set(row_digests({"x": np.array([0.0, -0.0])}))) == 1
        assert row_digests({"x": np.array([np.nan])}) == row_digests({"x": np.array([np.nan], np.float32)})

    def test_no_columns_no_rows(self) -> None:
        assert row_digests({}) == row_digests({"x": np.zeros((0, 2))}) == []


class TestAnswers:
    scores = np.array([[0.2, 0.8], [0.9, 0.1]], np.float32)

    def test_labels(self) -> None:
        assert label_of({"label": np.array(["a", "b"]), "probabilities": self.scores}).tolist() == ["a", "b"]  # type: ignore[union-attr]
        assert label_of({"probabilities": self.scores}).tolist() == [1, 0]  # type: ignore[union-attr]
        assert label_of({"a": self.scores, "b": self.scores}) is None
        assert label_of({"value": np.ones((2, 1))}) is None

    def test_values(self) -> None:
        assert value_of({"value": np.ones((2, 1), np.float32)}).tolist() == [1, 1]  # type: ignore[union-attr]
        assert value_of({"y": np.ones((2, 3)), "n": np.ones(2, int)}).shape == (2, 3)  # type: ignore[union-attr]
        assert value_of({"a": self.scores, "b": self.scores}) is None


class TestFit:
    @pytest.mark.parametrize(
        ("given", "dtype"),
        [
            (np.array([1, 2]), "float32"),
            (np.array([1.5, np.nan, np.inf]), "float32"),
            (np.array([1.0, 2.0]), "int64"),
            (np.array([True, False]), "int64"),
            (np.array([0, 1]), "bool"),
            (np.array(["a", ""]), "string"),
            (np.array(["a", "b"], object), "string"),
        ],
    )
    def test_what_fits_keeps_its_values(self, given: np.ndarray, dtype: str) -> None:
        found = fit(given, dtype, "x")
        assert found.dtype == (object if dtype == "string" else np.dtype(dtype))
        np.testing.assert_array_equal(found, given)

    @pytest.mark.parametrize(
        ("given", "dtype", "told"),
        [
            (np.array([1.5]), "int64", "x must be int64: 1.5 does not fit"),
            (np.array([300]), "uint8", "300 does not fit"),
            (np.array([2]), "bool", "2 does not fit"),
            (np.array([1.0, np.nan]), "int64", "nan does not fit"),
            (np.array([1e300]), "float32", r"1e\+300 does not fit"),
            (np.array(["1"]), "float32", "x must be float32, got strings"),
            (np.array([1]), "string", "x must be string, got int64"),
            (np.array(["a", None], object), "string", "x must be string, got object"),
            (np.array([1j]), "float32", "x must be float32, got complex128"),
        ],
    )
    def test_what_does_not_fit_is_told(self, given: np.ndarray, dtype: str, told: str) -> None:
        with pytest.raises(ValueError, match=told):
            fit(given, dtype, "x")

    @given(some.lists(some.floats(width=32), min_size=1))
    def test_rounding_is_all_that_happens_to_floats(self, values: list[float]) -> None:
        np.testing.assert_array_equal(fit(np.array(values), "float32", "x").astype(np.float64), values)


class TestNames:
    def test_all_there(self) -> None:
        check_names(BATCH, ["town", "x"])

    @pytest.mark.parametrize(
        ("batch", "told"),
        [
            ({"x": BATCH["x"]}, "'town' is missing: there must be x, town"),
            ({**BATCH, "z": BATCH["x"]}, "'z' is not known: there must be x, town"),
            ({**BATCH, "x": BATCH["x"][:2]}, "the numbers of rows differ: x has 2, town has 5"),
            ({**BATCH, "x": np.array(1.0)}, "the numbers of rows differ"),
        ],
    )
    def test_others_are_told(self, batch: dict[str, np.ndarray], told: str) -> None:
        with pytest.raises(ValueError, match=told):
            check_names(batch, ["x", "town"])
