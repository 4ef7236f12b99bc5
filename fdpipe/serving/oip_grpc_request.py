"""An inference request of the Open Inference Protocol over gRPC: what its message asks, and the arrays in it.

Tensors' bytes are found by reading the message's outermost fields only, and are not copied. What is left of the message is
the same for each request of a caller who sends one tensor after the other: what it comes to is kept, and not read again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from fdpipe import open_inference
from fdpipe.artifacts import ModelRef, TensorSpec
from fdpipe.serving import codec, contents
from fdpipe.serving.refusal import Refusal

Raw = Sequence[bytes | memoryview]
Places = list[tuple[int, int]]
"""Where pieces of a message begin and end."""

_Request = open_inference.message("ModelInferRequest")
_RAW_FIELD = 0x3A
"""How a piece of `raw_input_contents`, field 7, begins: with its number and, in three bits, that a length follows."""

_MOST_KEPT = 1000
_LONGEST_KEPT_BYTES = 4096
_LONGEST_TIMEOUT_US = 2**53
_NOT_OFFERED = {
    "shared_memory_region": "is in shared memory, which this service does not offer: send the bytes in the message",
    "classification": "asks for a classification, which this service does not offer: ask for the output itself",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is asked of the inputs. `timeout_us` is 0 where the parameters set no limit."""

    id: str
    timeout_us: int
    outputs: tuple[str, ...]
    as_bytes: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    """What a message without its bytes came to. `inputs`, in the model's order: which of the pieces, of how many bytes."""

    question: Question
    inputs: tuple[tuple[str, int, int, np.dtype[Any], tuple[int, ...]], ...]

    def arrays(self, raw: bytes, places: Places) -> dict[str, np.ndarray] | None:
        """None where a piece has another size."""
        found: dict[str, np.ndarray] = {}
        for name, piece, size, dtype, shape in self.inputs:
            start, stop = places[piece]
            if stop - start != size:
                return None
            found[name] = codec.aligned(np.frombuffer(raw, dtype, size // dtype.itemsize, start)).reshape(shape)
        return found


class Reader:
    """Reads requests to this model with these inputs and answers."""

    def __init__(self, model: ModelRef, inputs: Sequence[TensorSpec], answers: Sequence[TensorSpec]) -> None:
        self._model, self._inputs = model, inputs
        self._known = {spec.name: spec for spec in inputs}
        self._answers = tuple(spec.name for spec in answers)
        self._halves = {spec.name for spec in answers if codec.DATATYPES[spec.dtype] not in contents.FIELDS}
        self._kept: dict[bytes, _Kept] = {}

    def read(self, raw: bytes) -> tuple[Question, dict[str, np.ndarray]]:
        """What is asked, and the inputs in the model's order, checked against their specs; `Refusal` for all else."""
        apart = taken_apart(raw)
        if apart is None:
            request = _parsed(raw)
            return self._read(request, request.raw_input_contents)
        head, places = apart
        kept = self._kept.get(head)
        if kept is not None and len(places) == len(kept.inputs) and (arrays := kept.arrays(raw, places)) is not None:
            return kept.question, arrays
        request = _parsed(head)
        view = memoryview(raw)
        question, arrays = self._read(request, [view[start:stop] for start, stop in places])
        if places and not question.id and len(head) <= _LONGEST_KEPT_BYTES:
            self._keep(head, request, question, arrays)
        return question, arrays

    def require_model(self, name: str, version: str) -> None:
        """Refuse another than the one that is served."""
        if name != self._model.name or version not in ("", self._model.version):
            asked = f"{name!r}, version {version!r}" if version else f"{name!r}"
            served = f"{self._model.name!r}, version {self._model.version!r}"
            raise Refusal(f"there is no model {asked}: this is {served}", status=404, kind="not_found")

    def _read(self, request: Any, raw: Raw) -> tuple[Question, dict[str, np.ndarray]]:  # noqa: ANN401 - of protobuf
        self.require_model(request.model_name, request.model_version)
        codec.require_names([tensor.name for tensor in request.inputs], self._inputs)
        if raw and len(raw) != len(request.inputs):
            raise Refusal(f"raw_input_contents has {len(raw)} pieces for {len(request.inputs)} inputs: each must have its own")
        question = self._question(request, bool(raw))
        arrays = {
            tensor.name: self._array(tensor, raw[number] if raw else None) for number, tensor in enumerate(request.inputs)
        }
        return question, codec.fitted(arrays, self._inputs)

    def _array(self, tensor: Any, raw: bytes | memoryview | None) -> np.ndarray:  # noqa: ANN401 - of protobuf
        spec = self._known[tensor.name]
        _require_offered(f"input {spec.name!r}", tensor.parameters)
        codec.require_datatype(tensor.datatype, spec)
        shape = list(tensor.shape)
        if raw is None:
            return contents.read(tensor.contents, spec, shape, tensor.datatype)
        if tensor.contents.ListFields():  # MLServer's client sends empty ones
            raise Refusal(f"input {spec.name!r} has contents, and raw_input_contents has it, too: send it once")
        return codec.from_bytes(raw, spec, shape, tensor.datatype)

    def _question(self, request: Any, came_as_bytes: bool) -> Question:  # noqa: ANN401 - of protobuf
        for output in request.outputs:
            if output.name not in self._answers:
                raise Refusal(f"there is no output {output.name!r}: the model has {', '.join(self._answers)}")
            _require_offered(f"output {output.name!r}", output.parameters)
        outputs = tuple(output.name for output in request.outputs) or self._answers
        if len(set(outputs)) < len(outputs):
            raise Refusal("an output is asked for twice")
        asked = _parameter(request.parameters, "binary_data_output", "bool_param", came_as_bytes)
        timeout_us = _parameter(request.parameters, "timeout", "int64_param", 0)
        if not 0 <= timeout_us <= _LONGEST_TIMEOUT_US:
            raise Refusal(f"the parameter timeout is {timeout_us}: it must be a number of microseconds")
        as_bytes = asked or not self._halves.isdisjoint(outputs)
        return Question(id=request.id, timeout_us=timeout_us, outputs=outputs, as_bytes=as_bytes)

    def _keep(self, head: bytes, request: Any, question: Question, arrays: dict[str, np.ndarray]) -> None:  # noqa: ANN401
        """Where every array is of numbers just as they were sent."""
        pieces = {tensor.name: number for number, tensor in enumerate(request.inputs)}
        if all(array.dtype.kind in "iuf" for array in arrays.values()) and all(
            tensor.datatype == codec.datatype_of(arrays[tensor.name]) for tensor in request.inputs
        ):
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            places = tuple((name, pieces[name], one.nbytes, one.dtype, one.shape) for name, one in arrays.items())
            self._kept[head] = _Kept(question=question, inputs=places)


def taken_apart(raw: bytes) -> tuple[bytes, Places] | None:
    """A `ModelInferRequest` without its `raw_input_contents`, and where their pieces are; None where it is not plainly built of
    fields with a length each, as all of its own are (protobuf's encoding, protobuf.dev/programming-guides/encoding)."""
    heads: list[bytes] = []
    places: Places = []
    at = head = 0
    end = len(raw)
    try:
        while at < end:
            field, start = raw[at], at
            size = raw[at + 1]
            at += 2
            if size > 0x7F:
                size, at = _long_size(raw, at - 1)
            if field & 7 != 2 or field > 0x7F or at + size > end:
                return None
            if field == _RAW_FIELD:
                heads.append(raw[head:start])
                head = at + size
                places.append((at, head))
            at += size
    except IndexError:
        return None
    heads.append(raw[head:])
    return b"".join(heads), places


def _long_size(raw: bytes, at: int) -> tuple[int, int]:
    """A number of several bytes of seven bits, the lowest first, and where it ends."""
    size = shift = 0
    while True:
        byte = raw[at]
        at += 1
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            return size, at
        shift += 7
        if shift > 28:  # longer than any message: the bytes end first
            return len(raw) + 1, at


def _parsed(raw: bytes) -> Any:  # noqa: ANN401 - of protobuf
    try:
        return _Request.FromString(raw)
    except (DecodeError, RecursionError) as error:
        raise Refusal(f"the message is no ModelInferRequest: {error}") from error


def _parameter(parameters: Any, name: str, kind: str, default: Any) -> Any:  # noqa: ANN401 - of protobuf
    """Its value; refused where it is of another kind."""
    if name not in parameters:
        return default
    found = parameters[name].WhichOneof("parameter_choice")
    if found != kind:
        raise Refusal(f"the parameter {name} is a {found}: it must be a {kind}")
    return getattr(parameters[name], kind)


def _require_offered(what: str, parameters: Any) -> None:  # noqa: ANN401 - of protobuf
    for name in parameters:
        if name in _NOT_OFFERED:
            raise Refusal(f"{what} {_NOT_OFFERED[name]}")
