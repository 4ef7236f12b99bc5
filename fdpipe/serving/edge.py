"""What every request passes, on whichever port and by whichever protocol: limits, the release's header, the figures, and
the one form of errors."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fdpipe.artifacts import Manifest
from fdpipe.interfaces import Exchange, Probe
from fdpipe.serving.predictor import Prediction
from fdpipe.serving.refusal import Refusal, json_response

log = logging.getLogger(__name__)

PROTOCOLS = {"/v2": "oip_rest", "/predict": "bentoml"}
"""Which paths are the release's, and the protocol spoken there."""

_CALL = "fdpipe.call"
_OWN_ONLY = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'"
"""For pages: BentoML's own at / would have the browser load Google's tag manager."""


@dataclass
class Call:
    """One request under way: its handler notes here what came of it."""

    error: str | None = None
    prediction: Prediction | None = None
    status: int = 0
    is_read: bool = False
    started: float = field(default_factory=time.perf_counter)


async def answer(request: Request, work: Callable[[Call], Awaitable[Response]]) -> Response:
    """Run a handler; a refusal and a defect become the protocol's error, without a stack trace."""
    call: Call = request.scope[_CALL]
    try:
        return await work(call)
    except Refusal as refusal:
        call.error = refusal.kind
        return refusal.response()
    except Exception:
        log.exception("the request could not be answered")
        call.error = "internal"
        return json_response({"error": "the request could not be answered: the service's log has the reason"}, status=500)


class Edge:
    """ASGI middleware. A body is read whole before the application sees it, and never more than the limit of it."""

    def __init__(self, app: ASGIApp, manifest: Manifest, probes: Sequence[Probe]) -> None:
        self.app = app
        self.probes = probes
        self.digest = manifest.digest
        self.timeout_s = manifest.timeout_s
        self.max_bytes = int(manifest.max_body_mib * 2**20)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; only calls for answers are counted, and only the release's paths are touched."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        send = _worded(scope, send)
        protocol = _protocol(scope["path"])
        if protocol is None:
            await self.app(scope, receive, send)
            return
        call = scope[_CALL] = Call()
        counted = self.probes if scope["method"] == "POST" else ()
        _tell(counted, lambda probe: probe.begin())
        try:
            await self._bounded(call, scope, receive, send)
        finally:
            exchange = _exchange(call, protocol)
            _tell(counted, lambda probe: probe.observe(exchange))

    async def _bounded(self, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        tell = self._told(call, send)
        try:
            async with asyncio.timeout(self.timeout_s):
                _require_plain(scope)
                body = await _read(scope, receive, self.max_bytes)
                call.is_read = True
                await self.app(scope, _replayed(body, receive), tell)
                return
        except TimeoutError:
            late, status = ("there was no answer", 504) if call.is_read else ("the body was not there", 408)
            refusal = Refusal(f"{late} within {self.timeout_s:g} s", status=status, kind="timeout")
        except Refusal as found:
            refusal = found
        call.error = refusal.kind
        if not call.status:
            response = refusal.response()
            response.headers["Connection"] = "close"
            await response(scope, receive, tell)

    def _told(self, call: Call, send: Send) -> Send:
        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                call.status = message["status"]
                MutableHeaders(scope=message)["X-Fdpipe-Release"] = self.digest
            await send(message)

        return tell


def _protocol(path: str) -> str | None:
    return next((name for start, name in PROTOCOLS.items() if path == start or path.startswith(start + "/")), None)


def _worded(scope: Scope, send: Send) -> Send:
    """Whatever else refuses a request (BentoML, Starlette) says so in the protocol's form, too; pages stay by themselves."""
    held: list[Message] = []

    async def tell(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if headers.get("content-type", "").startswith("text/html"):
                headers["Content-Security-Policy"] = _OWN_ONLY
            if message["status"] >= 400:
                held.append(message)
                return
        if held:
            start = held[0]
            held.append(message)
            if message.get("more_body", False):
                return
            body = _error_body(scope, start, b"".join(one.get("body", b"") for one in held[1:]))
            held.clear()
            await send(start)
            message = {"type": "http.response.body", "body": body}
        await send(message)

    return tell


def _error_body(scope: Scope, start: Message, body: bytes) -> bytes:
    """The body as it is, where it has the form already; or else a new one, and the headers that belong to it."""
    if body.startswith(b'{"error":'):
        return body
    reason = HTTPStatus(start["status"]).phrase
    response = Refusal(f"{scope['method']} {scope['path']} is refused: {reason}", status=start["status"]).response()
    headers = MutableHeaders(scope=start)
    headers.update({name: response.headers[name] for name in ("content-type", "content-length")})
    return bytes(response.body)


def _exchange(call: Call, protocol: str) -> Exchange:
    seconds = time.perf_counter() - call.started
    status = call.status or 499
    error = call.error or ("http" if status >= 400 else None)
    found: dict[str, Any] = {} if call.prediction is None else vars(call.prediction)
    return Exchange(protocol=protocol, status=status, seconds=seconds, error=error, **found)


def _tell(probes: Sequence[Probe], what: Callable[[Probe], None]) -> None:
    """A monitor that fails must not take the answer with it."""
    for probe in probes:
        try:
            what(probe)
        except Exception:
            log.exception("a monitor failed")


def _require_plain(scope: Scope) -> None:
    if Headers(scope=scope).get("content-encoding", "identity") != "identity":
        raise Refusal("compressed bodies are not supported", status=415)
    if "pickle" in Headers(scope=scope).get("content-type", ""):
        raise Refusal("pickled bodies are refused", status=415)


async def _read(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The body; refused as soon as its announced or actual size passes the limit."""
    announced = Headers(scope=scope).get("content-length", "")
    _require_within(limit, int(announced) if announced.isdecimal() else 0)
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal("the caller has gone", status=499, kind="disconnected")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        _require_within(limit, size)
        more = message.get("more_body", False)
    return b"".join(chunks)


def _require_within(limit: int, size: int) -> None:
    if size > limit:
        raise Refusal(f"the body is larger than {limit / 2**20:g} MiB", status=413, kind="too_large")


def _replayed(body: bytes, receive: Receive) -> Receive:
    pending = [body]

    async def replay() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return replay
