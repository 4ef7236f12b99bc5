"""A data frame as comma-separated values, as pandas' `to_csv(index=False)` writes it → its columns, and its rows in JSON."""

import csv
import io
import re
from collections.abc import Sequence

import msgspec

from fdpipe.artifacts import TensorSpec
from fdpipe.serving.refusal import Refusal

MISSING = ("", "nan", "NaN")
TRUTHS = {"true": b"true", "false": b"false"}

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")


def frame(raw: bytes, specs: Sequence[TensorSpec]) -> tuple[list[str], bytes]:
    """The names in its first line, and a JSON list of all other lines. A cell is what its column's dtype says; an empty one, or
    NaN, is missing. `Refusal` for what is no such table."""
    texts = {spec.name for spec in specs if spec.dtype == "string"}
    try:
        lines = [line for line in csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True) if line]
    except (csv.Error, UnicodeDecodeError) as error:
        raise Refusal(f"the body is no comma-separated table: {error}") from error
    if len(lines) < 2:
        raise Refusal("the body must have a line of column names and a line for each row")
    columns = lines[0]
    is_text = [name in texts for name in columns]
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(columns):
            raise Refusal(f"line {number} has {len(line)} values, there are {len(columns)} columns")
        rows.append(b"[" + b",".join(map(_cell, line, is_text, columns)) + b"]")
    return columns, b"[" + b",".join(rows) + b"]"


def _cell(text: str, is_text: bool, column: str) -> bytes:
    if is_text:
        return msgspec.json.encode(text)
    if text in MISSING:
        return b"null"
    if _NUMBER.fullmatch(text):
        return text.encode()
    if truth := TRUTHS.get(text.lower()):
        return truth
    raise Refusal(f"column {column!r} has {text[:40]!r}, which is no number")
