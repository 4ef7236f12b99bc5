"""Rows and columns in JSON → the model's inputs, for the protocols that know no tensors: KServe's V1 and MLflow's.

No cell is converted here: the JSON of an input's cells is put together again and read by `codec`, strictly.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np

from fdpipe.artifacts import TensorSpec
from fdpipe.serving import codec, media
from fdpipe.serving.refusal import Refusal

T = TypeVar("T")
Cell = bytes
"""The JSON of one value."""

_Rows = list[msgspec.Raw]
_Named = list[dict[str, msgspec.Raw]]
_Unnamed = list[list[msgspec.Raw]]


class _Base64(msgspec.Struct, forbid_unknown_fields=True):
    """Bytes in JSON, as TensorFlow Serving has them."""

    b64: str


class Inputs:
    """The inputs of one model, as rows and columns may say them."""

    def __init__(self, specs: Sequence[TensorSpec]) -> None:
        self._specs = specs
        self._by_name = {spec.name: spec for spec in specs}
        self._only = specs[0] if len(specs) == 1 else None

    def of_instances(self, raw: bytes) -> dict[str, np.ndarray]:
        """A list with a row each: an object by input name, a list in the order of the inputs, or the value of the only one."""
        first = _first(raw)
        if first == b"{":
            rows = _read(raw, _Named, "instances")
            if self._only is not None and "b64" in rows[0] and self._only.name not in rows[0]:
                return self._of_cells({self._only.name: [bytes(row) for row in _read(raw, _Rows, "instances")]})
            return self._of_cells(self._by_column(list(rows[0]), rows))
        if self._only is not None:
            return codec.fitted({self._only.name: codec.nested(raw, self._only)}, self._specs)
        names = [spec.name for spec in self._specs]
        if first != b"[":
            raise Refusal(f"a row must be an object or a list of {len(names)} values: {', '.join(names)}")
        return self.of_frame(names, raw)

    def of_inputs(self, raw: bytes) -> dict[str, np.ndarray]:
        """An object with a list for each input (a single value for one row of columns); or else as instances."""
        start = raw.lstrip()[:1]
        if start == b"[":
            return self.of_instances(raw)
        if start == b"{":
            return self._of_columns(_read(raw, dict[str, msgspec.Raw], "inputs"))
        if self._only is None:
            raise Refusal("inputs must be an object with a list for each input")
        return self._of_columns({self._only.name: raw})

    def of_frame(self, columns: Sequence[str], raw: bytes) -> dict[str, np.ndarray]:
        """The rows of a data frame with these columns: inputs by name, or the numbers of the only one, side by side."""
        if self._is_side_by_side(columns):
            return self._of_matrix(raw, len(columns))
        rows = _read(raw, _Unnamed, "data")
        for number, row in enumerate(rows):
            if len(row) != len(columns):
                raise Refusal(f"row {number} has {len(row)} values, there are {len(columns)} columns")
        return self._of_cells({name: [bytes(row[at]) for row in rows] for at, name in enumerate(_once(columns))})

    def of_records(self, raw: bytes) -> dict[str, np.ndarray]:
        """The rows of a data frame as objects by column."""
        rows = _read(raw, _Named, "dataframe_records")
        if not rows:
            raise Refusal("the inputs have no rows")
        columns = list(rows[0])
        cells = self._by_column(columns, rows)
        if self._is_side_by_side(columns):
            return self._of_matrix(_list(map(_list, zip(*cells.values(), strict=True))), len(columns))
        return self._of_cells(cells)

    def _is_side_by_side(self, columns: Sequence[str]) -> bool:
        only = self._only
        return only is not None and len(only.shape) == 2 and list(columns) != [only.name]

    def _of_matrix(self, raw: bytes, width: int) -> dict[str, np.ndarray]:
        assert self._only is not None
        array = codec.nested(raw, self._only)
        if array.ndim != 2 or array.shape[1] != width:
            raise Refusal(f"data has the shape {list(array.shape)}, there are {width} columns")
        return codec.fitted({self._only.name: array}, self._specs)

    def _by_column(self, columns: Sequence[str], rows: _Named) -> dict[str, list[Cell]]:
        wanted = set(columns)
        for number, row in enumerate(rows):
            if row.keys() != wanted:
                odd = sorted(row.keys() ^ wanted)[0]
                raise Refusal(f"row {number} {'has' if odd in row else 'lacks'} {odd!r}, the first row {_not(odd, wanted)}")
        return {name: [bytes(row[name]) for row in rows] for name in columns}

    def _of_cells(self, cells: Mapping[str, list[Cell]]) -> dict[str, np.ndarray]:
        codec.require_names(list(cells), self._specs)
        if not next(iter(cells.values()), None):
            raise Refusal("the inputs have no rows")
        arrays = {}
        for name, column in cells.items():
            spec = self._by_name[name]
            texts = [_text(cell, spec) for cell in column] if spec.dtype == "string" else column
            arrays[name] = codec.nested(_list(texts), spec)
        return codec.fitted(arrays, self._specs)

    def _of_columns(self, columns: Mapping[str, bytes | msgspec.Raw]) -> dict[str, np.ndarray]:
        codec.require_names(list(columns), self._specs)
        arrays = {}
        for name, raw in columns.items():
            spec = self._by_name[name]
            written = bytes(raw)
            is_single = len(spec.shape) == 1 and written.lstrip()[:1] != b"["
            arrays[name] = codec.nested(_list([_text(written, spec)]) if is_single else written, spec)
        return codec.fitted(arrays, self._specs)


def _text(cell: Cell, spec: TensorSpec) -> Cell:
    """A string's JSON; what an object with its base64 stands for."""
    if spec.dtype != "string" or not cell.startswith(b"{"):
        return cell
    given = codec.read(cell, _Base64, f'input {spec.name!r} is neither a string nor {{"b64": string}}')
    return msgspec.json.encode(media.from_base64(given.b64, spec))


def _read(raw: bytes, form: Any, what: str) -> Any:  # noqa: ANN401 - msgspec decodes to any type expression
    return codec.read(raw, form, f"{what} cannot be read as rows and columns")


def _first(raw: bytes) -> bytes:
    """How the first row begins; refused where there is no list, or nothing in it."""
    start = raw.lstrip()
    if start[:1] != b"[":
        raise Refusal("instances must be a list with an element for each row")
    first = start[1:].lstrip()[:1]
    if first == b"]":
        raise Refusal("the inputs have no rows")
    return first


def _once(columns: Sequence[str]) -> Sequence[str]:
    if len(set(columns)) < len(columns):
        raise Refusal("a column is there twice")
    return columns


def _list(cells: Iterable[Cell]) -> bytes:
    return b"[" + b",".join(cells) + b"]"


def _not(odd: str, wanted: set[str]) -> str:
    return "has it" if odd in wanted else "does not"
