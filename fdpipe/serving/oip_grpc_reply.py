"""An inference reply of the Open Inference Protocol over gRPC. What stands before bytes is written once for each shape."""

import numpy as np

from fdpipe import open_inference
from fdpipe.arrays import Batch
from fdpipe.artifacts import ModelRef
from fdpipe.serving import codec, contents
from fdpipe.serving.oip_grpc_request import Question

_Response = open_inference.message("ModelInferResponse")
_ID_FIELD = b"\x1a"
"""How `id`, field 3, begins: with its number and, in three bits, that a length follows."""

_RAW_FIELD = b"\x32"
"""The same of a piece of `raw_output_contents`, field 6."""

_MOST_KEPT = 1000


class Writer:
    """Writes the answers of one model as `ModelInferResponse` messages."""

    def __init__(self, model: ModelRef) -> None:
        self._model = model
        self._kept: dict[object, bytes] = {}

    def write(self, question: Question, answers: Batch) -> bytes:
        """The wanted ones. Fields of a message may stand in any order, so that the bytes follow what is kept."""
        wanted = [answers[name] for name in question.outputs]
        parts = [self._described(question, wanted)]
        if question.id:
            name = question.id.encode()
            parts += (_ID_FIELD, _size(len(name)), name)
        if question.as_bytes:
            for array in wanted:
                raw = codec.to_bytes(array)
                parts += (_RAW_FIELD, _size(len(raw)), raw)
        return b"".join(parts)

    def _described(self, question: Question, wanted: list[np.ndarray]) -> bytes:
        """The model and the outputs; with their contents, which are not kept, where these are not wanted as bytes."""
        if not question.as_bytes:
            return self._written(question, wanted)
        key = (question.outputs, *[(array.shape, array.dtype.num) for array in wanted])
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            found = self._kept[key] = self._written(question, wanted)
        return found

    def _written(self, question: Question, wanted: list[np.ndarray]) -> bytes:
        reply = _Response(model_name=self._model.name, model_version=self._model.version)
        for name, array in zip(question.outputs, wanted, strict=True):
            filled = None if question.as_bytes else contents.filled(array)
            reply.outputs.add(name=name, datatype=codec.datatype_of(array), shape=array.shape, contents=filled)
        return reply.SerializeToString()  # type: ignore[no-any-return]


def _size(number: int) -> bytes:
    """Seven bits a byte, the lowest first, the highest bit set where more follow."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
