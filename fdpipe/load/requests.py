"""What is sent: real rows of the evaluation data in the words of the Open Inference Protocol, or bodies from a file."""

import json
import struct
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from fdpipe.arrays import Batch, load_arrays, rows_in, take
from fdpipe.artifacts import GOLDEN_INPUT
from fdpipe.conformance.golden import part, tensors
from fdpipe.errors import ConfigError
from fdpipe.load.modes import Replay
from fdpipe.load.wire import Request

JSON = {"content-type": "application/json"}
HEADER_LENGTH = "Inference-Header-Content-Length"


class Form(StrEnum):
    """How the Open Inference Protocol's REST carries tensors: as JSON, or as bytes after it (`binary_tensor_data`)."""

    JSON = "json"
    BINARY = "binary"


def from_golden(golden: Path, path: str, form: Form = Form.JSON, rows: int = 1) -> list[Request]:
    """Requests of `rows` rows each to `path`, from a release's golden requests, which are rows of its evaluation data."""
    inputs = part(load_arrays(golden), GOLDEN_INPUT)
    count = rows_in(inputs)
    if not 1 <= rows <= count:
        raise ConfigError(f"a request can have 1 to {count} rows, which is how many {golden.name} holds, not {rows}")
    starts = range(0, count - rows + 1, rows)
    make = _binary if form is Form.BINARY else _json
    return [make(path, take(inputs, slice(start, start + rows))) for start in starts]


def from_lines(lines: Path, path: str) -> list[Request]:
    """One request to `path` from each line of a file, which is its body as JSON."""
    return [Request(path=path, content=_body(value), headers=JSON) for _, value in _read(lines)]


def recorded(lines: Path, path: str, speed: float = 1.0) -> tuple[list[Request], Replay]:
    """Requests that were recorded, with their times: each line of the file is `{"time": SECONDS, "body": …}`, in any order;
    the earliest is sent at once. A `body` that is text is sent as it is, anything else as JSON."""
    found: list[tuple[float, bytes]] = []
    for number, value in _read(lines):
        if not isinstance(value, Mapping) or "body" not in value or not _is_time(value.get("time")):
            raise ConfigError(f'{lines}, line {number}: there must be an object with a "time" in seconds and a "body"')
        found.append((float(value["time"]), _body(value["body"])))
    found.sort(key=lambda pair: pair[0])
    first = found[0][0]
    requests = [Request(path=path, content=content, headers=JSON) for _, content in found]
    try:
        return requests, Replay(offsets=tuple(when - first for when, _ in found), speed=speed)
    except ValueError as error:
        raise ConfigError(f"{lines}: {error}") from error


def _json(path: str, inputs: Batch) -> Request:
    return Request(path=path, content=msgspec.json.encode({"inputs": tensors(inputs)}), headers=JSON)


def _binary(path: str, inputs: Batch) -> Request:
    """The tensors' bytes after the JSON that describes them, little-endian, each text after its length in four bytes."""
    raw = [_bytes(array) for array in inputs.values()]
    described = [
        {name: value for name, value in tensor.items() if name != "data"} | {"parameters": {"binary_data_size": len(data)}}
        for tensor, data in zip(tensors(inputs), raw, strict=True)
    ]
    header = msgspec.json.encode({"inputs": described, "parameters": {"binary_data_output": True}})
    headers = {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(header))}
    return Request(path=path, content=b"".join([header, *raw]), headers=headers)


def _bytes(array: np.ndarray) -> bytes:
    if array.dtype.kind not in "OSU":
        return np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    texts = [str(item).encode() for item in array.ravel()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _read(lines: Path) -> Sequence[tuple[int, Any]]:
    """The values with the numbers of their lines; `ConfigError` for what is no JSON, and where there is none."""
    found = []
    try:
        for number, line in enumerate(lines.read_text().splitlines(), start=1):
            if line.strip():
                found.append((number, json.loads(line)))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{lines} cannot be read: {error}") from error
    except ValueError as error:
        raise ConfigError(f"{lines}, line {number} is no JSON: {error}") from error
    if not found:
        raise ConfigError(f"{lines} is empty: there must be one request a line")
    return found


def _body(value: object) -> bytes:
    return value.encode() if isinstance(value, str) else msgspec.json.encode(value)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)
