"""Rows and columns in JSON → inputs."""

import json
from typing import Any

import numpy as np
import pytest

from fdpipe.artifacts import TensorSpec
from fdpipe.serving.media import ImageSpec
from fdpipe.serving.refusal import Refusal
from fdpipe.serving.rows import Inputs

MATRIX = Inputs([TensorSpec(name="x", dtype="float32", shape=("rows", 2))])
TEXT = Inputs([TensorSpec(name="text", dtype="string", shape=("rows",))])
IMAGE = Inputs([ImageSpec(name="image", dtype="string", shape=("rows",))])
COLUMNS = Inputs(
    [
        TensorSpec(name="age", dtype="float64", shape=("rows",)),
        TensorSpec(name="city", dtype="string", shape=("rows",)),
        TensorSpec(name="known", dtype="bool", shape=("rows",)),
    ]
)
BOTH = Inputs(
    [TensorSpec(name="a", dtype="int64", shape=("rows", 2)), TensorSpec(name="b", dtype="float32", shape=("rows", 1, 1))]
)


def text(value: object) -> bytes:
    """JSON with a blank before it, as it may be."""
    return b" " + json.dumps(value).encode()


def lists(found: dict[str, np.ndarray]) -> dict[str, Any]:
    return {name: array.tolist() for name, array in found.items()}


@pytest.mark.parametrize(
    ("inputs", "value", "expected"),
    [
        (MATRIX, [[1, 2], [3, 4.5]], {"x": [[1, 2], [3, 4.5]]}),
        (MATRIX, [{"x": [1, 2]}, {"x": [3, None]}], {"x": [[1, 2], [3, np.nan]]}),
        (TEXT, ["ß", "b"], {"text": ["ß", "b"]}),
        (TEXT, [{"text": "{"}, {"text": None}], {"text": ["{", ""]}),
        (TEXT, [{"b64": "w58="}], {"text": ["ß"]}),
        (TEXT, [{"text": {"b64": "w58="}}], {"text": ["ß"]}),
        (IMAGE, [{"b64": "w58="}], {"image": ["w58="]}),
        (COLUMNS, [{"age": 1, "city": "a", "known": True}], {"age": [1], "city": ["a"], "known": [True]}),
        (COLUMNS, [{"known": True, "city": None, "age": None}], {"age": [np.nan], "city": [""], "known": [True]}),
        (COLUMNS, [[1, "a", True], [2, "b", False]], {"age": [1, 2], "city": ["a", "b"], "known": [True, False]}),
        (BOTH, [{"a": [1, 2], "b": [[3]]}], {"a": [[1, 2]], "b": [[[3]]]}),
        (BOTH, [[[1, 2], [[3]]]], {"a": [[1, 2]], "b": [[[3]]]}),
    ],
)
def test_instances(inputs: Inputs, value: object, expected: dict[str, Any]) -> None:
    found = inputs.of_instances(text(value))
    assert list(found) == list(expected), "in the order of the inputs"
    np.testing.assert_equal(lists(found), expected)
    np.testing.assert_equal(lists(inputs.of_inputs(text(value))), expected)


@pytest.mark.parametrize(
    ("inputs", "value", "expected"),
    [
        (MATRIX, {"x": [[1, 2], [3, 4]]}, {"x": [[1, 2], [3, 4]]}),
        (TEXT, {"text": ["a", "b"]}, {"text": ["a", "b"]}),
        (TEXT, {"text": "a"}, {"text": ["a"]}),
        (TEXT, "a", {"text": ["a"]}),
        (IMAGE, {"image": {"b64": "w58="}}, {"image": ["w58="]}),
        (COLUMNS, {"age": [1], "known": [False], "city": ["a"]}, {"age": [1], "city": ["a"], "known": [False]}),
        (COLUMNS, {"age": 1, "known": False, "city": "a"}, {"age": [1], "city": ["a"], "known": [False]}),
        (BOTH, {"b": [[[3]]], "a": [[1, 2]]}, {"a": [[1, 2]], "b": [[[3]]]}),
    ],
)
def test_inputs(inputs: Inputs, value: object, expected: dict[str, Any]) -> None:
    assert lists(inputs.of_inputs(text(value))) == expected


@pytest.mark.parametrize(
    ("inputs", "columns", "rows", "expected"),
    [
        (MATRIX, ["0", "1"], [[1, 2], [3, 4]], {"x": [[1, 2], [3, 4]]}),
        (MATRIX, ["x"], [[[1, 2]], [[3, 4]]], {"x": [[1, 2], [3, 4]]}),
        (COLUMNS, ["known", "age", "city"], [[True, 1, "a"]], {"age": [1], "city": ["a"], "known": [True]}),
        (BOTH, ["b", "a"], [[[[3]], [1, 2]]], {"a": [[1, 2]], "b": [[[3]]]}),
    ],
)
def test_frames(inputs: Inputs, columns: list[str], rows: list[list[Any]], expected: dict[str, Any]) -> None:
    assert lists(inputs.of_frame(columns, text(rows))) == expected
    records = [dict(zip(columns, row, strict=True)) for row in rows]
    assert lists(inputs.of_records(text(records))) == expected


def test_dtypes_are_the_models() -> None:
    found = COLUMNS.of_instances(text([[1, "a", True]]))
    assert [array.dtype for array in found.values()] == [np.float64, object, bool]


@pytest.mark.parametrize(
    ("inputs", "value", "told"),
    [
        (MATRIX, [], "the inputs have no rows"),
        (MATRIX, 1, "must be a list"),
        (MATRIX, [1, 2], "has shape [2], the model takes [-1, 2]"),
        (MATRIX, [[1], [2, 3]], "ragged"),
        (MATRIX, [[1, "a"]], "Expected `float | null`, got `str`"),
        (MATRIX, [[1, 1e39]], "FP32 cannot hold"),
        (MATRIX, [{"y": [1, 2]}], "there is no input 'y': the model has x"),
        (MATRIX, [{"x": [1, 2], "y": 1}], "there is no input 'y'"),
        (MATRIX, [{"x": [1, 2]}, {"x": [1]}], "ragged"),
        (MATRIX, [{"b64": "AA=="}], "Expected `float | null`, got `object`"),
        (TEXT, [1], "got `int`"),
        (TEXT, [{"b64": "?"}], "no UTF-8 text in base64"),
        (TEXT, [{"b64": "/9j/"}], "no UTF-8 text in base64"),
        (TEXT, [{"b64": "AA==", "more": 1}], "neither a string nor"),
        (IMAGE, [{"b64": 1}], "neither a string nor"),
        (COLUMNS, [1, 2, 3], "a row must be an object or a list of 3 values: age, city, known"),
        (COLUMNS, [[1, "a"]], "row 0 has 2 values, there are 3 columns"),
        (COLUMNS, [[1, "a", True], [1, "a", True, 2]], "row 1 has 4 values, there are 3 columns"),
        (COLUMNS, [[1, "a", 1]], "input 'known'"),
        (COLUMNS, [{"age": 1, "city": "a"}], "input 'known' is missing"),
        (
            COLUMNS,
            [{"age": 1, "city": "a", "known": True}, {"age": 1, "city": "a"}],
            "row 1 lacks 'known', the first row has it",
        ),
        (
            COLUMNS,
            [{"age": 1, "city": "a", "known": True}, {"age": 1, "city": "a", "known": True, "b": 2}],
            "row 1 has 'b', the first row does not",
        ),
        (COLUMNS, [{"age": 1, "city": "a", "known": True}, [1]], "cannot be read as rows and columns"),
        (COLUMNS, [{"age": [1, 2], "city": "a", "known": True}], "has shape [1, 2], the model takes [-1]"),
    ],
)
def test_refused_instances(inputs: Inputs, value: object, told: str) -> None:
    with pytest.raises(Refusal) as caught:
        inputs.of_instances(text(value))
    assert told in str(caught.value)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("inputs", "value", "told"),
    [
        (COLUMNS, "a", "inputs must be an object with a list for each input"),
        (COLUMNS, {}, "input 'age' is missing"),
        (COLUMNS, {"age": [1, 2], "city": ["a"], "known": [True]}, "differ in their number of rows"),
        (COLUMNS, {"age": [], "city": [], "known": []}, "the inputs have no rows"),
        (MATRIX, {"x": 1}, "must be a list"),
        (MATRIX, {"x": {"b64": "AA=="}}, "must be a list"),
    ],
)
def test_refused_inputs(inputs: Inputs, value: object, told: str) -> None:
    with pytest.raises(Refusal) as caught:
        inputs.of_inputs(text(value))
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "columns", "rows", "told"),
    [
        (MATRIX, ["0", "1"], [[1, 2, 3]], "data has the shape [1, 3], there are 2 columns"),
        (MATRIX, ["0", "1", "2"], [[1, 2, 3]], "has shape [1, 3], the model takes [-1, 2]"),
        (MATRIX, [], [], "data has the shape [0], there are 0 columns"),
        (COLUMNS, ["age", "age", "city"], [[1, 1, "a"]], "a column is there twice"),
        (COLUMNS, ["age", "city", "known"], [], "the inputs have no rows"),
        (COLUMNS, ["age", "city", "size"], [[1, "a", 2]], "there is no input 'size'"),
        (COLUMNS, ["age", "city", "known"], [1], "data cannot be read as rows and columns"),
    ],
)
def test_refused_frames(inputs: Inputs, columns: list[str], rows: list[Any], told: str) -> None:
    with pytest.raises(Refusal) as caught:
        inputs.of_frame(columns, text(rows))
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "raw", [b"[" * 100_000, b'[{"x":' * 50_000, b"[[1,2],", b"[NaN]", b'[{"x":[1,NaN]}]', b'["\xff"]', b""]
)
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    for read in (MATRIX.of_instances, MATRIX.of_inputs, COLUMNS.of_instances, COLUMNS.of_records, TEXT.of_instances):
        with pytest.raises(Refusal):
            read(raw)
