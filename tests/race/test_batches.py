"""Batches are full, sequences as long as asked, and files as small as they can be."""

from pathlib import Path

import numpy as np

from fdpipe.artifacts import TensorSpec
from fdpipe.race.batches import BATCHES, MOST_BYTES, prepared, resized, sequences, written
from fdpipe.race.runner import first_batch, read_batches
from fdpipe.testing import FakeProcessor

FEATURES = {"x": np.arange(20, dtype=np.float32).reshape(5, 4)}


def test_rows_go_round() -> None:
    batches = prepared(FakeProcessor(), FEATURES, 3)
    assert [list(batch["x"][:, 0] / 4) for batch in batches] == [[0, 1, 2], [3, 4, 0]]
    assert len(prepared(FakeProcessor(), FEATURES, 12)) == 1


def test_there_are_not_more_than_fit() -> None:
    few = {"x": np.zeros((100, 4), np.float32)}
    assert len(prepared(FakeProcessor(), few, 1)) == BATCHES
    large = {"x": np.zeros((8, MOST_BYTES // 4 // 4), np.float32)}
    assert len(prepared(FakeProcessor(), large, 1)) == 4
    assert len(prepared(FakeProcessor(), large, 4)) == 2, "at least two"


def test_sequences_are_cut_or_repeated() -> None:
    batch = {"ids": np.array([[1, 2, 3], [4, 5, 6]]), "other": np.array([[7, 8, 9], [7, 8, 9]]), "flat": np.array([1, 2])}
    assert resized(batch, 2, ["ids"])["ids"].tolist() == [[1, 2], [4, 5]]
    longer = resized(batch, 5, ["ids"])
    assert longer["ids"].tolist() == [[1, 2, 3, 1, 2], [4, 5, 6, 4, 5]]
    assert longer["other"].shape == (2, 3)
    assert longer["flat"].shape == (2,)


def test_sequences_are_inputs_with_a_second_axis_of_any_length() -> None:
    shapes: dict[str, tuple[int | str, ...]] = {"ids": ("rows", "tokens"), "fixed": ("rows", 4), "flat": ("rows",)}
    assert sequences([TensorSpec(name=name, dtype="int64", shape=shape) for name, shape in shapes.items()]) == ["ids"]


def test_sizes_have_files_the_smallest_first(tmp_path: Path) -> None:
    sizes = written(tmp_path, FakeProcessor(), FEATURES, (4, 1), (6, 2), ["x"])
    assert [(size.batch, size.length) for size in sizes] == [(1, 2), (1, 6), (4, 2), (4, 6)]
    for size in sizes:
        every = read_batches(size.batches)
        assert {batch["x"].shape for batch in every} == {(size.batch, size.length)}
        assert (first_batch(size.batches)["x"] == every[0]["x"]).all()
    assert [size.length for size in written(tmp_path, FakeProcessor(), FEATURES, (1,), (6,), [])] == [None]
