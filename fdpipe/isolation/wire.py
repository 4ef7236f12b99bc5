"""What goes between the pipeline and an isolated original: a JSON header and the bytes of arrays; nothing is ever unpickled.

What comes from the other side is not trusted: every size is bounded and every field checked before it is used.
"""

import math
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np

from fdpipe.arrays import Batch

T = TypeVar("T")

STRING = "string"
DTYPES = frozenset({
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"
})  # fmt: skip

HEADER_BYTES = 8 * 2**20
ARRAYS_BYTES = 4 * 2**30
AXES = 16

_SIZE = struct.Struct(">I")


class BrokenMessage(Exception):
    """What came is no message."""


@dataclass(frozen=True, kw_only=True)
class Array:
    """One array of a message: a numpy dtype's name or `string`, and how many bytes follow for it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int


@dataclass(frozen=True, kw_only=True)
class Header(Generic[T]):
    """A message's first part; the arrays' bytes follow in this order."""

    body: T
    arrays: tuple[Array, ...] = field(default=())


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """A moment of the monotonic clock; None where one waits for ever."""

    at: float | None

    @classmethod
    def after(cls, seconds: float | None) -> "Deadline":
        """So many seconds from now."""
        return cls(at=None if seconds is None else time.monotonic() + seconds)

    def remaining(self) -> float | None:
        """The seconds left; `TimeoutError` where there are none."""
        if self.at is None:
            return None
        if (left := self.at - time.monotonic()) <= 0:
            raise TimeoutError
        return left


NEVER = Deadline(at=None)


def pack(body: object, arrays: Batch) -> list[bytes | memoryview]:
    """A message as it is sent; `TypeError` for an array of a kind that does not travel, `ValueError` for too large ones."""
    parts = [_encode(name, np.asarray(array)) for name, array in arrays.items()]
    if sum(part.size for part, _ in parts) > ARRAYS_BYTES:
        raise ValueError(f"they have more than {ARRAYS_BYTES / 2**30:g} GiB")
    header = Header(body=body, arrays=tuple(part for part, _ in parts))
    data = msgspec.json.encode(header, enc_hook=str)
    return [_SIZE.pack(len(data)) + data, *(content for _, content in parts)]


def send(channel: socket.socket, message: list[bytes | memoryview], deadline: Deadline = NEVER) -> None:
    """Write a message; `OSError` where nobody reads."""
    for piece in message:
        channel.settimeout(deadline.remaining())
        channel.sendall(piece)


def receive(channel: socket.socket, kind: type[T], deadline: Deadline = NEVER) -> tuple[T, dict[str, np.ndarray]]:
    """Read one message; `EOFError` where the other side has gone, `BrokenMessage` for anything that is none."""
    (size,) = _SIZE.unpack(_read(channel, _SIZE.size, deadline))
    if size > HEADER_BYTES:
        raise BrokenMessage(f"its header has {size} bytes")
    try:
        header = msgspec.json.decode(_read(channel, size, deadline), type=Header[kind], dec_hook=_path)  # type: ignore[valid-type]
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError, ValueError, RecursionError) as error:
        raise BrokenMessage(str(error)) from error
    for array in header.arrays:
        _check(array)
    if sum(array.size for array in header.arrays) > ARRAYS_BYTES:
        raise BrokenMessage(f"its arrays are larger than {ARRAYS_BYTES} bytes")
    if len({array.name for array in header.arrays}) != len(header.arrays):
        raise BrokenMessage("two arrays have one name")
    return header.body, {array.name: _decode(array, _read(channel, array.size, deadline)) for array in header.arrays}


def _path(wanted: type, value: object) -> Any:  # noqa: ANN401 - a path, the only type here that JSON has not
    if isinstance(value, str) and "\x00" not in value:
        return wanted(value)
    raise TypeError(f"{wanted.__name__} cannot be read from JSON")


def _encode(name: str, array: np.ndarray) -> tuple[Array, bytes | memoryview]:
    """Strings, in whatever kind of array, travel as a JSON list."""
    content: bytes | memoryview
    if array.dtype.kind in "OSU":
        content = msgspec.json.encode(array.astype(str).ravel().tolist())
        return Array(name=name, dtype=STRING, shape=array.shape, size=len(content)), content
    if array.dtype.name not in DTYPES:
        raise TypeError(f"{name} is of type {array.dtype}: it must be one of {STRING}, {', '.join(sorted(DTYPES))}")
    plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(array.shape)
    content = plain.reshape(-1).view(np.uint8).data
    return Array(name=name, dtype=array.dtype.name, shape=array.shape, size=plain.nbytes), content


def _check(array: Array) -> None:
    if array.dtype != STRING and array.dtype not in DTYPES:
        raise BrokenMessage(f"an array is of type {array.dtype[:40]!r}")
    if len(array.shape) > AXES or any(length < 0 for length in array.shape) or array.size < 0:
        raise BrokenMessage("an array has an impossible shape")
    if array.dtype != STRING and array.size != math.prod(array.shape) * np.dtype(array.dtype).itemsize:
        raise BrokenMessage("an array's bytes do not fit its shape")


def _decode(array: Array, content: bytearray) -> np.ndarray:
    try:
        flat = _texts(content) if array.dtype == STRING else np.frombuffer(content, np.dtype(array.dtype).newbyteorder("<"))
        return flat.reshape(array.shape).astype(flat.dtype.newbyteorder("="), copy=False)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise BrokenMessage(str(error)) from error


def _texts(content: bytearray) -> np.ndarray:
    """numpy gives each the room of the longest."""
    found = msgspec.json.decode(content, type=list[str])
    if len(found) * max(map(len, found), default=0) * 4 > ARRAYS_BYTES:
        raise BrokenMessage("its strings are too large")
    return np.array(found, dtype=str)


def _read(channel: socket.socket, size: int, deadline: Deadline) -> bytearray:
    buffer = bytearray(size)
    left = memoryview(buffer)
    while left:
        channel.settimeout(deadline.remaining())
        if (count := channel.recv_into(left)) == 0:
            raise EOFError
        left = left[count:]
    return buffer
