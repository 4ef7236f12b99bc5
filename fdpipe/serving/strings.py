"""Strings as bytes: each in UTF-8 after its length in four little-endian bytes, as the Open Inference Protocol has BYTES."""

import struct
from collections.abc import Callable, Iterable


def joined(texts: Iterable[str]) -> bytes:
    """The strings' bytes."""
    pieces = [text.encode() for text in texts]
    return b"".join([part for piece in pieces for part in (struct.pack("<I", len(piece)), piece)])


def split(raw: bytes, read: Callable[[bytes], str] = bytes.decode) -> list[str]:
    """The strings again, each read so; `ValueError` for bytes that are none."""
    texts: list[str] = []
    at = 0
    while at < len(raw):
        if at + 4 > len(raw):
            raise ValueError("it ends inside a length")
        (length,) = struct.unpack_from("<I", raw, at)
        at += 4 + length
        if at > len(raw):
            raise ValueError("it ends inside a string")
        texts.append(read(raw[at - length : at]))
    return texts
