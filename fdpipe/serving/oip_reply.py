"""An inference reply of the Open Inference Protocol: JSON, and the bytes of those answers that are wanted so."""

from typing import Any

import msgspec
import numpy as np

from fdpipe.arrays import Batch
from fdpipe.artifacts import ModelRef
from fdpipe.serving import codec
from fdpipe.serving.call import JSON, Headers, Reply
from fdpipe.serving.oip_request import Question

HEADER_LENGTH = b"inference-header-content-length"
"""How many bytes of a body are JSON; tensors' bytes follow."""

_BINARY = (b"content-type", b"application/octet-stream")
_MOST_KEPT = 1000


class Writer:
    """Writes the answers of one model. What stands before bytes is written once for each shape."""

    def __init__(self, model: ModelRef) -> None:
        self._named = msgspec.json.encode({"model_name": model.name, "model_version": model.version})[:-1]
        self._kept: dict[object, tuple[bytes, Headers]] = {}

    def write(self, question: Question, answers: Batch) -> Reply:
        """The wanted ones; `Refusal` for a number that JSON cannot say."""
        for _, as_bytes in question.outputs:
            if not as_bytes:
                return self._in_json(question, answers)
        raw = [codec.to_bytes(answers[name]) for name, _ in question.outputs]
        head = self._head(question)
        arrays = [answers[name] for name, _ in question.outputs]
        key = (question.outputs, *[(one.shape, one.dtype.num, len(text)) for one, text in zip(arrays, raw, strict=True)])
        kept = self._kept.get(key)
        if kept is None:
            kept = self._keep(key, question, answers, raw)
        tail, headers = kept
        return Reply(b"".join((head, tail, *raw)), headers=headers if question.id is None else _headers(len(head) + len(tail)))

    def _head(self, question: Question) -> bytes:
        """The JSON up to the outputs."""
        return self._named if question.id is None else self._named + b',"id":' + msgspec.json.encode(question.id)

    def _keep(self, key: object, question: Question, answers: Batch, raw: list[bytes]) -> tuple[bytes, Headers]:
        sized = zip(question.outputs, raw, strict=True)
        tail = _tail([_output(name, answers[name]) | _size(text) for (name, _), text in sized])
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[key] = tail, _headers(len(self._named) + len(tail))
        return self._kept[key]

    def _in_json(self, question: Question, answers: Batch) -> Reply:
        outputs: list[dict[str, Any]] = []
        raw: list[bytes] = []
        for name, as_bytes in question.outputs:
            output = _output(name, answers[name])
            if as_bytes:
                raw.append(codec.to_bytes(answers[name]))
                output |= _size(raw[-1])
            else:
                output["data"] = codec.listed({name: answers[name].ravel()})[name]
            outputs.append(output)
        header = self._head(question) + _tail(outputs)
        return Reply(b"".join((header, *raw)), headers=_headers(len(header)) if raw else (JSON,))


def _output(name: str, array: np.ndarray) -> dict[str, Any]:
    return {"name": name, "datatype": codec.datatype_of(array), "shape": list(array.shape)}


def _size(raw: bytes) -> dict[str, Any]:
    return {"parameters": {"binary_data_size": len(raw)}}


def _tail(outputs: list[dict[str, Any]]) -> bytes:
    return b"," + msgspec.json.encode({"outputs": outputs})[1:]


def _headers(length: int) -> Headers:
    return (_BINARY, (HEADER_LENGTH, str(length).encode()))
