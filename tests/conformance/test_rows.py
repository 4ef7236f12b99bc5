"""Rows that are made, bytes of tensors, metadata, and when two answers are the same."""

from pathlib import Path

import numpy as np
import pytest

from fdpipe.arrays import save_arrays
from fdpipe.conformance import raw, rows
from fdpipe.conformance.compare import unlike
from fdpipe.conformance.model import Tensor, read
from fdpipe.errors import ConfigError

TENSORS = (
    Tensor(name="x", datatype="FP16", shape=(-1, 3)),
    Tensor(name="tokens", datatype="INT64", shape=(-1, -1)),
    Tensor(name="image", datatype="UINT8", shape=(-1, 3, -1, -1)),
    Tensor(name="word", datatype="BYTES", shape=(-1,)),
    Tensor(name="flag", datatype="BOOL", shape=(-1, 1)),
)


def test_rows_are_as_the_metadata_says_and_always_the_same() -> None:
    made = rows.made(TENSORS).inputs
    shapes = {name: array.shape for name, array in made.items()}
    assert shapes == {"x": (8, 3), "tokens": (8, 8), "image": (8, 3, 32, 32), "word": (8,), "flag": (8, 1)}
    assert [raw.datatype_of(array) for array in made.values()] == [one.datatype for one in TENSORS]
    assert made["tokens"].min() >= 0
    assert len(set(made["word"])) == 8
    assert unlike(rows.made(TENSORS).inputs, made) == ""
    assert unlike(rows.made(TENSORS, seed=1).inputs, made).startswith("x is [[")


def test_a_fixed_first_axis_stays() -> None:
    assert rows.made([Tensor(name="x", datatype="FP32", shape=(1, 2))]).inputs["x"].shape == (1, 2)


@pytest.mark.parametrize(
    ("tensors", "told"), [((), "names no inputs"), ((Tensor(name="x", datatype="BF16", shape=(-1,)),), "BF16")]
)
def test_what_no_rows_are_made_of(tensors: tuple[Tensor, ...], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        rows.made(tensors)


def test_golden_rows_and_their_answers(tmp_path: Path) -> None:
    path, x = tmp_path / "golden.npz", np.arange(20.0)
    save_arrays(path, {"input.x": x, "answer.y": x * 2})
    found = rows.golden(path)
    assert unlike(found.inputs, {"x": x[:8]}) == unlike(found.known, {"y": x[:8] * 2}) == ""
    assert (found.told, found.together) == ("8 rows of golden.npz", False)
    save_arrays(path, {"input.x": x, "answer.y": x, "together.y": x})
    assert rows.golden(path).together
    save_arrays(path, {"x": x})
    with pytest.raises(ConfigError, match=r"it has no input\.NAME"):
        rows.golden(path)


def test_extremes_are_at_the_ends_of_each_dtype() -> None:
    found = list(rows.extremes(rows.made(TENSORS).inputs).values())
    assert [one["tokens"].max() for one in found] == [0, 2**63 - 1, -(2**63)]
    assert [float(one["x"].max()) for one in found] == [0.0, 65504.0, -65504.0]
    assert [len(one["word"][0]) for one in found] == [0, 5000, 3]
    assert all(len(array) == 1 for one in found for array in one.values())


@pytest.mark.parametrize("tensor", TENSORS, ids=lambda tensor: tensor.datatype)
def test_bytes_come_back(tensor: Tensor) -> None:
    array = rows.made([tensor]).inputs[tensor.name]
    back = raw.from_bytes(raw.to_bytes(array), tensor.datatype, array.shape)
    assert unlike({"a": back}, {"a": array}) == ""


@pytest.mark.parametrize(
    ("data", "datatype", "shape"),
    [(b"\0" * 7, "FP32", (2,)), (b"\2\0\0\0a", "BYTES", (1,)), (b"\2\0", "BYTES", (1,)), (b"\0\0", "BF16", (1,))],
)
def test_bytes_that_are_none(data: bytes, datatype: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"."):
        raw.from_bytes(data, datatype, shape)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([], "no JSON object"),
        ({"inputs": []}, "name is None"),
        ({"name": "m", "versions": [1]}, "versions are"),
        ({"name": "m", "inputs": {}}, "must be a list"),
        ({"name": "m", "inputs": [{}]}, "has no name"),
        ({"name": "m", "inputs": [{"name": "x", "datatype": "float32", "shape": [1]}]}, "the datatype of 'x' is 'float32'"),
        ({"name": "m", "inputs": [{"name": "x", "datatype": "FP32", "shape": ["n"]}]}, "the shape of 'x'"),
        ({"name": "m", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-2]}]}, "the shape of 'x'"),
    ],
)
def test_metadata_that_is_none(value: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read(value)


@pytest.mark.parametrize(
    ("found", "wanted", "same"),
    [
        (np.array([1.0], "float32"), np.array([1.000009], "float32"), True),
        (np.array([1.0], "float32"), np.array([1.00002], "float32"), False),
        (np.array([1e6], "float32"), np.array([1e6 + 5], "float32"), True),
        (np.array([1.0], "float16"), np.array([1.001], "float16"), True),
        (np.array([np.nan], "float32"), np.array([np.nan], "float32"), True),
        (np.array([np.nan], "float32"), np.array([1.0], "float32"), False),
        (np.array([np.inf], "float32"), np.array([1.0], "float32"), False),
        (np.array([1], "int64"), np.array([2], "int64"), False),
        (np.array(["a"], object), np.array(["a"]), True),
        (np.array([[1.0]], "float32"), np.array([1.0], "float32"), False),
    ],
)
def test_when_answers_are_the_same(found: np.ndarray, wanted: np.ndarray, same: bool) -> None:
    assert (unlike({"y": found}, {"y": wanted}) == "") is same


def test_an_answer_that_is_not_there() -> None:
    assert unlike({"a": np.zeros(1)}, {"b": np.zeros(1)}) == "there is no answer 'b', but a"
