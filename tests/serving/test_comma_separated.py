"""Comma-separated values, as pandas writes them."""

import json

import numpy as np
import pandas as pd
import pytest

from fdpipe.artifacts import TensorSpec
from fdpipe.serving.comma_separated import frame
from fdpipe.serving.refusal import Refusal
from fdpipe.serving.rows import Inputs

SPECS = (
    TensorSpec(name="age", dtype="float64", shape=("rows",)),
    TensorSpec(name="city, of birth", dtype="string", shape=("rows",)),
    TensorSpec(name="known", dtype="bool", shape=("rows",)),
    TensorSpec(name="count", dtype="int64", shape=("rows",)),
)


def test_what_pandas_writes_is_read() -> None:
    table = pd.DataFrame(
        {
            "age": [1.5, np.nan, -1e300, 0.1 + 0.2],
            "city, of birth": ["Bern", 'a "b", c', "two\nlines", "12"],
            "known": [True, False, True, False],
            "count": [1, -2, 2**62, 0],
        }
    )
    found = Inputs(SPECS).of_frame(*frame(table.to_csv(index=False).encode(), SPECS))
    for name in table:
        np.testing.assert_array_equal(found[str(name)], table[name].to_numpy())


def test_the_byte_order_mark_of_spreadsheets_is_none_of_the_names() -> None:
    assert frame("\ufeffage\n1\n\n".encode(), SPECS) == (["age"], b"[[1]]")


def test_a_cell_is_one_value() -> None:
    columns, rows = frame(b'"city, of birth"\n"1],[2"\n', SPECS)
    assert (columns, json.loads(rows)) == (["city, of birth"], [["1],[2"]])


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "a line of column names and a line for each row"),
        (b"age\n", "a line of column names and a line for each row"),
        (b"age,count\n1\n", "line 2 has 1 values, there are 2 columns"),
        (b'age\n"1,2"\n', "column 'age' has '1,2', which is no number"),
        (b"age\n0x10\n", "which is no number"),
        (b"age\ninf\n", "which is no number"),
        (b"age\n\xff\n", "no comma-separated table"),
        (b'age\n"1\n', "no comma-separated table"),
        (b"age\n" + b"1" * 200_000 + b"\n", "no comma-separated table"),
    ],
)
def test_refused(raw: bytes, told: str) -> None:
    with pytest.raises(Refusal) as caught:
        frame(raw, SPECS)
    assert told in str(caught.value)
