"""An inference request of the Open Inference Protocol: its JSON, the tensors' bytes after it, and what they come to.

A caller who sends one tensor after the other sends the same JSON each time. Where that JSON describes nothing but numbers that
follow as bytes, what it comes to is kept, and the next request of its kind is not read at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import msgspec
import numpy as np

from fdpipe.artifacts import TensorSpec
from fdpipe.serving import brain_float, codec
from fdpipe.serving.refusal import Refusal

D = TypeVar("D")

_MOST_KEPT = 1000
_LONGEST_KEPT_BYTES = 4096
_LONGEST_TIMEOUT_US = 2**53

Outputs = tuple[tuple[str, bool], ...]
"""Which answers are wanted, and of each whether as bytes."""


class TensorParameters(msgspec.Struct):
    """Those of a tensor that mean something here; others are left alone. The last two are refused."""

    binary_data_size: int | None = None
    binary_data: bool | None = None
    shared_memory_region: str | None = None
    classification: int | None = None


class RequestParameters(msgspec.Struct):
    """Those of a request. `timeout` is in microseconds, as Triton has it, 0 for none."""

    binary_data_output: bool = False
    timeout: Annotated[int, msgspec.Meta(ge=0, le=_LONGEST_TIMEOUT_US)] | None = None


class Tensor(msgspec.Struct, Generic[D]):
    """An input as the caller describes it; `data` is a list, or the JSON of one."""

    name: str
    shape: list[int]
    datatype: str
    parameters: TensorParameters | None = None
    data: D | msgspec.UnsetType = msgspec.UNSET


class Wanted(msgspec.Struct):
    """An output that the caller asks for."""

    name: str
    parameters: TensorParameters | None = None


class Inference(msgspec.Struct, Generic[D]):
    """The JSON of a request."""

    inputs: list[Tensor[D]]
    id: str | None = None
    parameters: RequestParameters | None = None
    outputs: list[Wanted] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is asked of the inputs. `timeout_us` is 0 where the caller sets no limit."""

    id: str | None
    timeout_us: int
    outputs: Outputs


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    """What a JSON came to: where in a body of `size` bytes the arrays are."""

    question: Question
    size: int
    places: tuple[tuple[str, np.dtype[Any], int, int, tuple[int, ...]], ...]

    def arrays(self, body: bytes) -> dict[str, np.ndarray]:
        return {
            name: codec.aligned(np.frombuffer(body, dtype, count, start)).reshape(shape)
            for name, dtype, count, start, shape in self.places
        }


class Reader:
    """Reads requests to the model with these inputs and answers."""

    def __init__(self, inputs: Sequence[TensorSpec], answers: Sequence[TensorSpec]) -> None:
        self._inputs = inputs
        self._known = {spec.name: spec for spec in inputs}
        self._answers = [spec.name for spec in answers]
        self._all: dict[bool, Outputs] = {one: tuple((name, one) for name in self._answers) for one in (False, True)}
        self._kept: dict[bytes, _Kept] = {}
        self._decoder = msgspec.json.Decoder(Inference[msgspec.Raw])
        element = codec.element_of(inputs)
        self._quick: msgspec.json.Decoder[Any] = (
            self._decoder if element is None else msgspec.json.Decoder(Inference[list[element]])  # type: ignore[valid-type]
        )

    def read(self, body: bytes, told: bytes | None) -> tuple[Question, dict[str, np.ndarray]]:
        """What is asked, and the inputs in the model's order, checked against their specs. `told` is the value of the header
        `Inference-Header-Content-Length`."""
        if told is None:
            question, arrays, _ = self._read(body, len(body))
            return question, arrays
        length = _length(told, len(body))
        header = body[:length]
        kept = self._kept.get(header)
        if kept is not None and kept.size == len(body):
            return kept.question, kept.arrays(body)
        question, arrays, cuts = self._read(body, length)
        if question.id is None and length <= _LONGEST_KEPT_BYTES:
            self._keep(header, len(body), question, arrays, cuts)
        return question, arrays

    def _read(self, body: bytes, length: int) -> tuple[Question, dict[str, np.ndarray], dict[str, slice]]:
        """Also where the bytes of those inputs are that came so."""
        view = memoryview(body)
        inference = self._decoded(view[:length])
        codec.require_names([tensor.name for tensor in inference.inputs], self._inputs)
        question = self._question(inference)
        arrays: dict[str, np.ndarray] = {}
        cuts: dict[str, slice] = {}
        at = length
        for tensor in inference.inputs:
            size = _require_one_form(tensor, len(body) - at)
            if size is not None:
                cuts[tensor.name] = slice(at, at + size)
                at += size
            arrays[tensor.name] = self._array(tensor, None if size is None else view[cuts[tensor.name]])
        if at < len(body):
            raise Refusal(f"{len(body) - at} bytes of the body belong to no input")
        return question, codec.fitted(arrays, self._inputs), cuts

    def _decoded(self, raw: memoryview) -> Inference[Any]:
        """At once where the lists are flat and all is well; or else with lists left as they are, for their own errors."""
        try:
            return self._quick.decode(raw)  # type: ignore[no-any-return]
        except codec.UNREADABLE:
            return codec.decoded(raw, self._decoder, "the request is no inference request in JSON")

    def _array(self, tensor: Tensor[Any], raw: memoryview | None) -> np.ndarray:
        spec = self._known[tensor.name]
        codec.require_datatype(tensor.datatype, spec)
        if raw is not None:
            return codec.from_bytes(raw, spec, tensor.shape, tensor.datatype)
        if tensor.data is msgspec.UNSET:
            raise Refusal(f"input {tensor.name!r} has neither data nor a binary_data_size")
        read = codec.from_list if isinstance(tensor.data, list) else codec.flat
        array = read(tensor.data, spec, tensor.shape)
        return codec.rounded(array, spec) if tensor.datatype == brain_float.DATATYPE else array

    def _question(self, inference: Inference[Any]) -> Question:
        parameters = inference.parameters or RequestParameters()
        outputs = self._all[parameters.binary_data_output]
        if inference.outputs:
            outputs = tuple(self._wanted(one, parameters.binary_data_output) for one in inference.outputs)
            if len({name for name, _ in outputs}) < len(outputs):
                raise Refusal("an output is asked for twice")
        return Question(id=inference.id, timeout_us=parameters.timeout or 0, outputs=outputs)

    def _wanted(self, one: Wanted, by_default: bool) -> tuple[str, bool]:
        if one.name not in self._answers:
            raise Refusal(f"there is no output {one.name!r}: the model has {', '.join(self._answers)}")
        if one.parameters is None:
            return one.name, by_default
        _require_offered(f"output {one.name!r}", one.parameters)
        return one.name, by_default if one.parameters.binary_data is None else one.parameters.binary_data

    def _keep(
        self, header: bytes, size: int, question: Question, arrays: dict[str, np.ndarray], cuts: dict[str, slice]
    ) -> None:
        """Where all inputs are numbers that came just as they are."""
        for name, array in arrays.items():
            sent = cuts.get(name, slice(0, 0))
            if array.dtype.kind not in "iuf" or array.nbytes == 0 or array.nbytes != sent.stop - sent.start:
                return
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        places = tuple((name, one.dtype, one.size, cuts[name].start, one.shape) for name, one in arrays.items())
        self._kept[header] = _Kept(question=question, size=size, places=places)


def _length(told: bytes, size: int) -> int:
    """Of the JSON at the beginning of a body of this size."""
    if not told.isdigit() or len(told) > len(str(size)) or int(told) > size:
        raise Refusal(f"Inference-Header-Content-Length is {told[:40].decode('latin-1')}, the body has {size} bytes")
    return int(told)


def _require_one_form(tensor: Tensor[Any], left: int) -> int | None:
    """How many of the bytes that are left are its own; None where it is in JSON."""
    if tensor.parameters is None:
        return None
    _require_offered(f"input {tensor.name!r}", tensor.parameters)
    size = tensor.parameters.binary_data_size
    if size is None:
        return None
    if not 0 <= size <= left:
        raise Refusal(f"input {tensor.name!r} has a binary_data_size of {size}, {left} bytes are left")
    if tensor.data is not msgspec.UNSET:
        raise Refusal(f"input {tensor.name!r} has both data and a binary_data_size")
    return size


def _require_offered(what: str, parameters: TensorParameters) -> None:
    if parameters.shared_memory_region is not None:
        raise Refusal(f"{what} is in shared memory, which this service does not offer: send its bytes in the body")
    if parameters.classification is not None:
        raise Refusal(f"{what} asks for a classification, which this service does not offer: ask for the output itself")
