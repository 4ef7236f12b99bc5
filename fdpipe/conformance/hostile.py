"""Requests that must be refused, made from one that is good."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from fdpipe.arrays import take
from fdpipe.conformance import golden
from fdpipe.conformance.rest import HEADER_LENGTH, Form, Post, Rest
from fdpipe.conformance.result import NotShown
from fdpipe.conformance.subject import Subject

_DEEP = 100_000

_ANY = "biufO"
_KINDS = {
    _ANY: "of a kind that numpy has",
    "iuf": "of numbers",
    "iu": "of whole numbers",
    "i": "of signed whole numbers",
    "f": "of floats",
}
"""Kinds of dtypes as numpy names them, in words."""

Change = Callable[[dict[str, Any], np.ndarray], Mapping[str, Any]]
"""From a tensor as it is described in JSON, and its array, to what is written over it."""

Wrong = Callable[[Subject, Rest], Post]
"""Makes a request that must be refused; `NotShown` where this model has nothing to do it with."""


@dataclass(frozen=True, kw_only=True)
class Tensors:
    """A request in JSON of which the first tensor is changed by `change`."""

    change: Change
    kinds: str = _ANY

    def __call__(self, subject: Subject, rest: Rest) -> Post:
        """The request, where an input is of one of the `kinds`, as numpy names them."""
        described = golden.tensors(subject.singles()[0])
        for number, array in enumerate(subject.singles()[0].values()):
            kind = "O" if array.dtype.kind in "OSU" else array.dtype.kind
            if kind in self.kinds:
                described[number] |= self.change(described[number], array)
                return _posted(rest, {"inputs": described})
        raise NotShown(f"no input is {_KINDS[self.kinds]}")


def _posted(rest: Rest, value: object) -> Post:
    return Post(path=rest.path, body=msgspec.json.encode(value))


def _unknown_model(subject: Subject, rest: Rest) -> Post:
    body = rest.post(subject.singles()[0]).body
    return Post(path=golden.infer_path("no-model-has-this-name"), body=body)


def _missing_input(subject: Subject, rest: Rest) -> Post:
    return _posted(rest, {"inputs": golden.tensors(subject.singles()[0])[1:]})


def _unknown_input(subject: Subject, rest: Rest) -> Post:
    described = golden.tensors(subject.singles()[0])
    return _posted(rest, {"inputs": [*described, described[0] | {"name": "no-input-has-this-name"}]})


def _unknown_output(subject: Subject, rest: Rest) -> Post:
    return rest.post(subject.singles()[0], more={"outputs": [{"name": "no-output-has-this-name"}]})


def _unequal_rows(subject: Subject, rest: Rest) -> Post:
    inputs = subject.several()
    if len(inputs) < 2:
        raise NotShown("the model has one input, so that rows cannot differ in number")
    first, *others = inputs
    return rest.post(take({first: inputs[first]}, slice(0, 2)) | take({name: inputs[name] for name in others}, slice(0, 1)))


def _truncated(subject: Subject, rest: Rest) -> Post:
    body = rest.post(subject.singles()[0]).body
    return Post(path=rest.path, body=body[: len(body) // 2])


def _no_json(subject: Subject, rest: Rest) -> Post:
    return Post(path=rest.path, body=b"\x80\x04\x95pickle")


def _empty(subject: Subject, rest: Rest) -> Post:
    return Post(path=rest.path, body=b"")


def _deep(subject: Subject, rest: Rest) -> Post:
    return Post(path=rest.path, body=b'{"inputs":' + b"[" * _DEEP)


def _number(text: bytes) -> Wrong:
    """In the place of a float stands `text`, which is no number that JSON, or a float, has."""
    mark = -12345.6789

    def make(subject: Subject, rest: Rest) -> Post:
        floats = Tensors(change=lambda one, _: {"data": [mark, *_flat(one)[1:]]}, kinds="f")
        post = floats(subject, rest)
        return Post(path=post.path, body=post.body.replace(str(mark).encode(), text))

    return make


def _flat(described: Mapping[str, Any]) -> list[Any]:
    return list(described["data"])


def _too_large(subject: Subject, rest: Rest) -> Post:
    limit = subject.place.max_body_bytes
    if limit is None:
        raise NotShown("no limit of a body is told: give it with --max-body-mib")
    body = rest.post(subject.singles()[0]).body
    return Post(path=rest.path, body=body[:-1] + b" " * limit + body[-1:])


def _header_length(told: str) -> Wrong:
    def make(subject: Subject, rest: Rest) -> Post:
        post = rest.post(subject.singles()[0], Form.BINARY)
        if rest.send(post).status_code != 200:
            raise NotShown("it does not take binary tensors")
        return Post(path=post.path, body=post.body, headers={**post.headers, HEADER_LENGTH: told or str(len(post.body) + 1)})

    return make


def _cut_bytes(subject: Subject, rest: Rest) -> Post:
    post = rest.post(subject.singles()[0], Form.BINARY)
    if rest.send(post).status_code != 200:
        raise NotShown("it does not take binary tensors")
    return Post(path=post.path, body=post.body[:-1], headers=post.headers)


def _another_datatype(described: Mapping[str, Any], array: np.ndarray) -> Mapping[str, Any]:
    if array.dtype.kind in "OSU":
        return {"datatype": "FP32", "data": [0.5] * array.size}
    return {"datatype": "BYTES", "data": ["a"] * array.size}


def _first(value: object) -> Change:
    """The first element is this one instead."""
    return lambda described, _: {"data": [value, *_flat(described)[1:]]}


def _all_axes(change: Callable[[int], int]) -> Change:
    return lambda described, _: {"shape": [change(axis) for axis in described["shape"]]}


def _ragged(described: Mapping[str, Any], array: np.ndarray) -> Mapping[str, Any]:
    value = _flat(described)[0]
    return {"shape": [2, 2], "data": [[value, value], [value]]}


def _no_datatype(described: dict[str, Any], array: np.ndarray) -> Mapping[str, Any]:
    return {"datatype": "FP31"}


def _longer_shape(described: dict[str, Any], array: np.ndarray) -> Mapping[str, Any]:
    return {"shape": [*described["shape"], 1, 1]}


def _less_data(described: dict[str, Any], array: np.ndarray) -> Mapping[str, Any]:
    return {"data": _flat(described)[:-1]}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One request, and what its refusal shows."""

    name: str
    shows: str
    make: Wrong


CASES = tuple(
    Case(name=name, shows=f"{what} is refused.", make=make)
    for name, what, make in (
        ("missing-input", "A request without one of the inputs", _missing_input),
        ("unknown-input", "A request with an input that the model does not have", _unknown_input),
        ("unknown-output", "A request for an output that the model does not have", _unknown_output),
        ("wrong-datatype", "An input of another datatype", Tensors(change=_another_datatype)),
        ("unknown-datatype", "A datatype that the protocol does not have", Tensors(change=_no_datatype)),
        ("wrong-rank", "An input with axes too many", Tensors(change=_longer_shape)),
        ("unfilled-shape", "A tensor whose data do not fill its shape", Tensors(change=_less_data)),
        ("negative-shape", "A shape with negative axes", Tensors(change=_all_axes(lambda axis: -axis))),
        ("huge-shape", "A shape too large for any memory", Tensors(change=_all_axes(lambda axis: 2**62))),
        ("ragged", "A tensor of nested lists that differ in length", Tensors(change=_ragged)),
        ("unequal-rows", "A request whose inputs differ in their number of rows", _unequal_rows),
        ("string-for-number", "A string where a number should be", Tensors(change=_first("a"), kinds="iuf")),
        ("object-for-number", "An object where a number should be", Tensors(change=_first({}), kinds="iuf")),
        ("fraction-for-integer", "A fraction where a whole number should be", Tensors(change=_first(0.5), kinds="iu")),
        ("huge-integer", "A whole number that its datatype cannot hold", Tensors(change=_first(2**63), kinds="i")),
        ("nan-literal", "NaN, which JSON does not have,", _number(b"NaN")),
        ("infinity-literal", "Infinity, which JSON does not have,", _number(b"-Infinity")),
        ("truncated-json", "JSON that ends half-way", _truncated),
        ("no-json", "A body that is no JSON", _no_json),
        ("empty-body", "An empty body", _empty),
        ("deep-nesting", "A body of lists nested a hundred thousand deep", _deep),
        ("header-length-beyond", "A header length beyond the body", _header_length("")),
        ("header-length-no-number", "A header length that is no number", _header_length("-1")),
        ("bytes-cut-off", "A binary tensor that ends too early", _cut_bytes),
        ("body-too-large", "A body above the limit", _too_large),
    )
)

UNKNOWN_MODEL = Case(name="unknown-model", shows="A model that is not there is refused with 404.", make=_unknown_model)
