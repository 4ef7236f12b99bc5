"""A client of the Open Inference Protocol V2 over REST that keeps to the specification, and can be told not to."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import httpx
import msgspec
import numpy as np

from fdpipe.arrays import Batch
from fdpipe.conformance import golden, raw
from fdpipe.conformance.result import Violation

HEADER_LENGTH = "Inference-Header-Content-Length"
JSON = {"content-type": "application/json"}


class Form(StrEnum):
    """How tensors travel."""

    JSON = "json"
    BINARY = "binary"


@dataclass(frozen=True, kw_only=True)
class Post:
    """What is sent to a path."""

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)


@dataclass(frozen=True, kw_only=True)
class Rest:
    """Asks one model of one service."""

    client: httpx.Client
    model: str

    @property
    def path(self) -> str:
        """Where the model is asked."""
        return golden.infer_path(self.model)

    def ask(self, inputs: Batch, form: Form = Form.JSON, headers: Mapping[str, str] | None = None) -> dict[str, np.ndarray]:
        """The answers by name; `Violation` for anything else."""
        post = self.post(inputs, form)
        return self.answers(self.send(Post(path=post.path, body=post.body, headers={**post.headers, **(headers or {})})))

    def post(self, inputs: Batch, form: Form = Form.JSON, more: Mapping[str, Any] | None = None) -> Post:
        """A request in JSON, or with the tensors' bytes after it and its answers as bytes; `more` is written into the JSON."""
        described = golden.tensors(inputs)
        if form is Form.JSON:
            return Post(path=self.path, body=msgspec.json.encode({"inputs": described} | dict(more or {})))
        parts = [raw.to_bytes(array) for array in inputs.values()]
        named = [
            {key: value for key, value in one.items() if key != "data"} | {"parameters": {"binary_data_size": len(data)}}
            for one, data in zip(described, parts, strict=True)
        ]
        header = msgspec.json.encode({"inputs": named, "parameters": {"binary_data_output": True}} | dict(more or {}))
        headers = {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(header))}
        return Post(path=self.path, body=b"".join([header, *parts]), headers=headers)

    def send(self, post: Post) -> httpx.Response:
        """Whatever comes back; `Violation` where nothing does."""
        try:
            return self.client.post(post.path, content=post.body, headers=dict(post.headers))
        except httpx.HTTPError as error:
            raise Violation(f"POST {post.path} has no answer: {type(error).__name__} {error}".rstrip()) from error

    def answers(self, response: httpx.Response) -> dict[str, np.ndarray]:
        """The arrays in a reply; `Violation` where it is none, or not in the protocol's form."""
        return answers(response.status_code, dict(response.headers), response.content, self.model)


def answers(status: int, headers: Mapping[str, str], body: bytes, model: str) -> dict[str, np.ndarray]:
    """The arrays in a reply's bytes; header names are in lower case."""
    if status != 200:
        raise Violation(f"status {status}: {body[:200].decode(errors='replace')}")
    told = headers.get(HEADER_LENGTH.lower())
    try:
        length = len(body) if told is None else int(told)
        reply = json.loads(body[:length])
        if not isinstance(reply, dict) or not isinstance(reply.get("outputs"), list):
            raise Violation(f"the reply has no outputs: {body[:100].decode(errors='replace')}")
        if reply.get("model_name") != model:
            raise Violation(f"the reply's model_name is {reply.get('model_name')!r}, not {model!r}")
        found, rest = {}, body[length:]
        for one in reply["outputs"]:
            size = (one.get("parameters") or {}).get("binary_data_size")
            found[one["name"]] = _output(one, None if size is None else rest[:size])
            rest = rest[size or 0 :]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Violation(f"the reply is not as the protocol has it: {type(error).__name__} {error}") from error
    if rest:
        raise Violation(f"{len(rest)} bytes of the reply belong to no output")
    return found


def _output(one: Mapping[str, Any], data: bytes | None) -> np.ndarray:
    shape, datatype = tuple(one["shape"]), one["datatype"]
    if data is not None:
        return raw.from_bytes(data, datatype, shape)
    if datatype == "BYTES":
        array = np.empty(len(one["data"]), dtype=object)
        array[:] = one["data"]
        return array.reshape(shape)
    return np.array(one["data"], dtype=raw.DTYPES[datatype]).reshape(shape)
