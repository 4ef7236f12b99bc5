"""Tensors as the bytes that the Open Inference Protocol V2 makes of them, over REST and over gRPC."""

import struct
from collections.abc import Iterator

import numpy as np

DTYPES = {
    "BOOL": "?", "INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "UINT8": "<u1", "UINT16": "<u2",
    "UINT32": "<u4", "UINT64": "<u8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
"""The protocol's datatype → numpy's dtype of its bytes; BYTES are strings, each after its length."""

_NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}


def datatype_of(array: np.ndarray) -> str:
    """The protocol's name of an array's dtype."""
    return "BYTES" if array.dtype.kind in "OSU" else _NAMES[array.dtype.newbyteorder("<")]


def to_bytes(array: np.ndarray) -> bytes:
    """Little-endian, in row-major order; each string in UTF-8 after its length in four bytes."""
    if array.dtype.kind not in "OSU":
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    texts = [one if isinstance(one, bytes) else str(one).encode() for one in array.ravel()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def from_bytes(raw: bytes, datatype: str, shape: tuple[int, ...]) -> np.ndarray:
    """The array again; `ValueError` where the bytes are none of this datatype and shape."""
    if datatype == "BYTES":
        return np.array(list(_texts(raw)), dtype=object).reshape(shape)
    if datatype not in DTYPES:
        raise ValueError(f"the datatype {datatype!r} is not read here")
    return np.frombuffer(raw, DTYPES[datatype]).reshape(shape)


def _texts(raw: bytes) -> Iterator[str]:
    at = 0
    while at < len(raw):
        try:
            (size,) = struct.unpack_from("<I", raw, at)
        except struct.error as error:
            raise ValueError("the bytes end inside a string's length") from error
        at += 4 + size
        if at > len(raw):
            raise ValueError("the bytes end inside a string")
        yield raw[at - size : at].decode()
