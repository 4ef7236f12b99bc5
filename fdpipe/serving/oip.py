"""The Open Inference Protocol V2 over REST, in JSON and with the binary tensor extension.

The specification: github.com/kserve/open-inference-protocol; the extension is Triton's `binary_tensor_data`.
"""

import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fdpipe import __version__
from fdpipe.artifacts import Manifest, TensorSpec
from fdpipe.serving import codec
from fdpipe.serving.edge import Call, answer
from fdpipe.serving.predictor import Predictor
from fdpipe.serving.refusal import Refusal, json_response

HEADER_LENGTH = "Inference-Header-Content-Length"
"""How many bytes of a body are JSON; tensors' bytes follow."""

_LONGEST_LENGTH = 20
"""Digits; Python refuses to read numbers of thousands of them."""

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class Tensor(msgspec.Struct):
    """An input as the caller describes it."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: msgspec.Raw = msgspec.Raw()


class Wanted(msgspec.Struct):
    """An output that the caller asks for."""

    name: str
    parameters: dict[str, Any] = {}


class Inference(msgspec.Struct):
    """The JSON of a request."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[Wanted] | None = None


def oip_app(predictor: Predictor) -> Starlette:
    """Every path below `/v2`."""
    rest = _Rest(predictor)
    routes = [_route("/v2", rest.server), _route("/v2/health/live", rest.live), _route("/v2/health/ready", rest.ready)]
    for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        routes += [_route(model, rest.metadata), _route(model + "/ready", rest.ready)]
        routes += [_route(model + "/infer", rest.infer, "POST")]
    routes += [_route("/v2/{path:path}", rest.nothing, *METHODS)]
    return Starlette(routes=routes, exception_handlers={HTTPException: _told})


Handler = Callable[[Request, Call], Awaitable[Response]]


def _route(path: str, handler: Handler, *methods: str) -> Route:
    async def endpoint(request: Request) -> Response:
        return await answer(request, functools.partial(handler, request))

    return Route(path, endpoint, methods=list(methods or ("GET",)))


class _Rest:
    """The handlers."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.manifest = predictor.manifest

    async def server(self, request: Request, call: Call) -> Response:
        return json_response({"name": "fdpipe", "version": __version__, "extensions": ["binary_tensor_data"]})

    async def live(self, request: Request, call: Call) -> Response:
        return json_response({"live": True})

    async def ready(self, request: Request, call: Call) -> Response:
        """Of the server and of the model, which are ready together."""
        self._require_model(request)
        is_open = self.predictor.engine is not None
        return json_response({"name": self.manifest.model.name, "ready": is_open}, status=200 if is_open else 503)

    async def metadata(self, request: Request, call: Call) -> Response:
        self._require_model(request)
        found = self.manifest
        return json_response(
            {
                "name": found.model.name,
                "versions": [found.model.version],
                "platform": f"{found.candidate.runtime}_{found.artifact.kind}",
                "inputs": _described(found.inputs),
                "outputs": _described(found.answers),
            }
        )

    async def infer(self, request: Request, call: Call) -> Response:
        self._require_model(request)
        asked, binary = _parse(await request.body(), request)
        records = codec.fitted(_inputs(asked, binary, self.manifest.inputs), self.manifest.inputs)
        call.prediction = await self.predictor.predict(records)
        return _respond(self.manifest, asked, call.prediction.answers)

    async def nothing(self, request: Request, call: Call) -> Response:
        raise Refusal(f"there is nothing at {request.method} {request.url.path}", status=404, kind="not_found")

    def _require_model(self, request: Request) -> None:
        own = self.manifest.model
        name = request.path_params.get("name", own.name)
        version = request.path_params.get("version", own.version)
        if (name, version) != (own.name, own.version):
            text = f"there is no model {name!r} version {version!r} here: this is {own.name!r} version {own.version!r}"
            raise Refusal(text, status=404, kind="not_found")


def _described(specs: Sequence[TensorSpec]) -> list[dict[str, Any]]:
    return [{"name": one.name, "datatype": codec.DATATYPES[one.dtype], "shape": codec.shape_of(one)} for one in specs]


def _parse(body: bytes, request: Request) -> tuple[Inference, bytes]:
    """The request's JSON and the bytes after it."""
    header = request.headers.get(HEADER_LENGTH, str(len(body)))
    if not header.isdecimal() or len(header) > _LONGEST_LENGTH or int(header) > len(body):
        raise Refusal(f"{HEADER_LENGTH} is {header}, the body has {len(body)} bytes")
    asked = codec.read(body[: int(header)], Inference, "the request is no inference request in JSON")
    return asked, body[int(header) :]


def _inputs(asked: Inference, binary: bytes, specs: Sequence[TensorSpec]) -> dict[str, np.ndarray]:
    """The inputs, from their JSON or from the next bytes after it."""
    codec.require_names([tensor.name for tensor in asked.inputs], specs)
    known = {spec.name: spec for spec in specs}
    arrays: dict[str, np.ndarray] = {}
    at = 0
    for tensor in asked.inputs:
        size = tensor.parameters.get("binary_data_size", 0)
        if not isinstance(size, int) or not 0 <= size <= len(binary) - at:
            raise Refusal(f"input {tensor.name!r} has a binary_data_size of {size!r}, {len(binary) - at} bytes are left")
        arrays[tensor.name] = _array(tensor, binary[at : at + size], known[tensor.name])
        at += size
    if at < len(binary):
        raise Refusal(f"{len(binary) - at} bytes of the body belong to no input")
    return arrays


def _array(tensor: Tensor, binary: bytes, spec: TensorSpec) -> np.ndarray:
    if tensor.datatype != codec.DATATYPES[spec.dtype]:
        raise Refusal(f"input {tensor.name!r} has datatype {tensor.datatype!r}, the model takes {codec.DATATYPES[spec.dtype]}")
    if "binary_data_size" in tensor.parameters:
        return codec.from_bytes(binary, spec, tensor.shape)
    return codec.flat(bytes(tensor.data), spec, tensor.shape)


def _respond(manifest: Manifest, asked: Inference, answers: dict[str, np.ndarray]) -> Response:
    """The wanted answers, each in JSON or as bytes after it."""
    by_default = bool(asked.parameters.get("binary_data_output", False))
    wanted = asked.outputs or [Wanted(name=name) for name in answers]
    if unknown := [one.name for one in wanted if one.name not in answers]:
        raise Refusal(f"there is no output {unknown[0]!r}: the model has {', '.join(answers)}")
    outputs: list[dict[str, Any]] = []
    tail = b""
    for one in wanted:
        array = answers[one.name]
        output = {"name": one.name, "datatype": codec.datatype_of(array), "shape": list(array.shape)}
        if one.parameters.get("binary_data", by_default):
            raw = codec.to_bytes(array)
            outputs.append(output | {"parameters": {"binary_data_size": len(raw)}})
            tail += raw
        else:
            outputs.append(output | {"data": codec.listed({one.name: array.ravel()})[one.name]})
    named = {"model_name": manifest.model.name, "model_version": manifest.model.version}
    header = msgspec.json.encode(named | ({} if asked.id is None else {"id": asked.id}) | {"outputs": outputs})
    if not tail:
        return Response(header, media_type="application/json")
    return Response(header + tail, media_type="application/octet-stream", headers={HEADER_LENGTH: str(len(header))})


async def _told(request: Request, error: Exception) -> Response:
    """What Starlette refuses by itself, in the protocol's form."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    return Refusal(f"{request.method} {request.url.path} is refused: {error}", status=status).response()
