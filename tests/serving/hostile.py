"""Hostile requests: a corpus of JSON that is none or almost, and seeded mutations of requests that are good."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

NUMBERS = (
    b"-0", b"-0.0", b"1E+2", b"1e400", b"-1e400", b"1e-400", b"1e99999999999", b"1.", b".5", b"01", b"+1", b"-", b"0x10",
    b"1_000", b"NaN", b"-NaN", b"Infinity", b"-Infinity", b"nan", b"1e", b"1e+", b"9007199254740993", b"18446744073709551616",
    b"-9223372036854775809", b"1" + b"0" * 30, b"9" * 5000, b"-" + b"9" * 5000, b"0." + b"1" * 5000, b"1e" + b"9" * 5000,
    "\N{ARABIC-INDIC DIGIT ONE}".encode(), "\N{VULGAR FRACTION ONE HALF}".encode(),
)  # fmt: skip

STRINGS = (
    b'""', b'"\\u0000"', b'"\\ud800"', b'"\\ud800\\u0041"', b'"\\udc00"', b'"\\uD83D\\uDE00"', b'"\\x41"', b'"\\q"', b'"\\u12"',
    b'"\\', b'"a', b"'a'", b'"\n"', b'"\x00"', b'"\x1f"', b'"\x7f"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\xf5\x80\x80\x80"',
    b'"\xff"', b'"\xe2\x82"', b'"' + b"z" * 300_000 + b'"', b'"' + b"\\u0041" * 50_000 + b'"', b'"\xe2\x80\xae"', b'"%s%n{0}"',
    b'"__proto__"', b'"../../etc/passwd"', b'"\\r\\nX-Injected: 1"',
)  # fmt: skip

OTHERS = (
    b"null", b"true", b"false", b"True", b"None", b"undefined", b"[]", b"{}", b"[[]]", b"[null]", b"[{}]", b"[1,]", b"[,1]",
    b"[1 2]", b"{,}", b'{"a"}', b'{"a":}', b'{"a":1,}', b"{a:1}", b'{"a":1 "b":2}', b"{1:2}", b"[1}", b"{]", b"/* x */ 1",
    b"// x\n1", b"# x", b"\xef\xbb\xbf1", b"1\x00", b"1 1", b"\x00", b"\xa01", b"-[]", b"b'1'", b"(1)", b"<x/>", b"{{}}",
    b"$ref", b"!!python/object:os.system",
)  # fmt: skip

DEPTHS = (16, 17, 1000, 100_000)

OBJECT = b'{"id":%s,"parameters":%s,"inputs":[{"name":%s,"datatype":%s,"shape":%s,"parameters":%s,"data":%s}],"outputs":%s}'
GOOD = (b'"a"', b"{}", b'"x"', b'"FP32"', b"[1,4]", b"{}", b"[1,2,3,4]", b'[{"name":"label"}]')
INNER = (
    (4, b"[%s,4]"), (6, b"[1,2,3,%s]"), (6, b"[[1,2,3,%s]]"), (6, b"[[1,2],[%s]]"), (1, b'{"binary_data_output":%s}'),
    (1, b'{"timeout":%s}'), (1, b'{"x":%s}'), (5, b'{"binary_data_size":%s}'), (5, b'{"shared_memory_region":%s}'),
    (7, b"[%s]"), (7, b'[{"name":%s}]'), (7, b'[{"name":"label","parameters":{"binary_data":%s}}]'),
)  # fmt: skip
"""Which of the parts of `GOOD`, and what of it is replaced."""


@dataclass(frozen=True, kw_only=True)
class Hostile:
    """A request to the model of `tiny.digits`."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def values() -> Iterator[bytes]:
    """What stands where a JSON value should."""
    yield from NUMBERS + STRINGS + OTHERS
    for depth in DEPTHS:
        yield b"[" * depth + b"]" * depth
        yield b"[" * depth
        yield b'{"a":' * depth + b"1" + b"}" * depth


def texts() -> Iterator[Hostile]:
    """Each value in each place; a request that ends after each of its bytes; keys that are there twice."""
    for value in values():
        yield Hostile(body=value)
        for at in range(len(GOOD)):
            yield Hostile(body=OBJECT % (*GOOD[:at], value, *GOOD[at + 1 :]))
        for at, form in INNER:
            yield Hostile(body=OBJECT % (*GOOD[:at], form.replace(b"%s", value), *GOOD[at + 1 :]))
    for good in good_requests():
        for size in range(len(good.body)):
            yield Hostile(body=good.body[:size], headers=good.headers)
    whole = OBJECT % GOOD
    for key in (b'"inputs"', b'"name"', b'"data"', b'"shape"', b'"id"'):
        yield Hostile(body=whole.replace(key, key + b":null," + key))
        yield Hostile(body=whole.replace(key, key + b":[]," + key))
    yield Hostile(body=whole + whole)
    yield Hostile(body=whole.decode().encode("utf-16"))
    yield Hostile(body=whole.decode().encode("utf-32"))


def good_requests() -> list[Hostile]:
    """In JSON, and as bytes with answers as bytes."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [2, 4], "parameters": {"binary_data_size": 32}}
    header = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    raw = np.arange(8, dtype=np.float32).tobytes()
    binary = Hostile(body=header + raw, headers={"Inference-Header-Content-Length": str(len(header))})
    return [Hostile(body=OBJECT % GOOD), binary]


def mutations(count: int, seed: int) -> Iterator[Hostile]:
    """Good requests with up to eight bites taken, put in, doubled, flipped or replaced, and sometimes another header."""
    rng = np.random.default_rng(seed)
    pieces = [*NUMBERS, *(one for one in STRINGS if len(one) < 1000), *OTHERS, b'"inputs":', b"[1,4]", b'"binary_data_size":']
    good = good_requests()
    for _ in range(count):
        start = good[rng.integers(len(good))]
        body = bytearray(start.body)
        for _ in range(rng.integers(1, 9)):
            at, length = int(rng.integers(len(body) + 1)), int(rng.integers(1, 12))
            kind = rng.integers(6)
            if kind == 0:
                del body[at : at + length]
            elif kind == 1:
                body[at:at] = rng.bytes(length)
            elif kind == 2:
                body[at:at] = body[at : at + length]
            elif kind == 3:
                body[at : at + length] = pieces[rng.integers(len(pieces))]
            elif kind == 4 and at < len(body):
                body[at] ^= 1 << int(rng.integers(8))
            else:
                body[at:at] = pieces[rng.integers(len(pieces))]
        headers = dict(start.headers)
        if headers and rng.random() < 0.3:
            size = int(rng.integers(-2, len(body) + 3))
            headers["Inference-Header-Content-Length"] = str(size)
        yield Hostile(body=bytes(body), headers=headers)
