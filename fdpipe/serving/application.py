"""Every protocol over HTTP as one ASGI application, which does nothing twice: one look-up by path, limits, figures, the reply.

It stands on a port of its own and, by `Edge`, on BentoML's.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from starlette.types import Message, Receive, Scope, Send

from fdpipe.artifacts import Manifest
from fdpipe.serving.bodies import Bodies
from fdpipe.serving.call import Asked, Call, Headers, Reply
from fdpipe.serving.door import Admit, Door, everyone
from fdpipe.serving.figures import Figures
from fdpipe.serving.refusal import Refusal
from fdpipe.serving.watch import Watch

log = logging.getLogger(__name__)

_LONGEST_LENGTH = 20
"""Digits; Python refuses to read numbers of thousands of them."""

Handler = Callable[[Asked], Awaitable[Reply]]


@dataclass(frozen=True, kw_only=True)
class Route:
    """What answers at a path. `protocol` labels the figures; only a `POST` is counted, has a body, and may be refused for what
    the service has to do already. `told` gives a refusal the protocol's own form."""

    method: str
    path: str
    protocol: str
    handle: Handler
    told: Callable[[Refusal], Reply] = Refusal.reply


class _Body:
    """Of a request, as it comes: how much was received, and whether that is all."""

    __slots__ = ("_receive", "headers", "is_whole", "size")

    def __init__(self, headers: Headers, receive: Receive) -> None:
        self.headers, self._receive = headers, receive
        self.size = 0
        self.is_whole = False

    async def __call__(self) -> Message:
        """As `Receive`."""
        message = await self._receive()
        self.size += len(message.get("body", b""))
        self.is_whole = not message.get("more_body", False)
        return message


class Application:
    """The routes of a release. A body is read whole before its handler sees it, and never more than `max_bytes` of it."""

    def __init__(self, routes: Iterable[Route], manifest: Manifest, figures: Figures, admit: Admit = everyone) -> None:
        self._routes = {(one.method, one.path): one for one in routes}
        self._methods: dict[str, list[str]] = {}
        for method, path in self._routes:
            self._methods.setdefault(path, []).append(method)
        self._roots = frozenset(_root(path) for path in self._methods if path != "/")
        self._figures = figures
        self._door = Door(admit)
        self._timeout_s = manifest.timeout_s
        self.max_bytes = int(manifest.max_body_mib * 2**20)
        self._bodies = Bodies(self.max_bytes)
        self._watch = Watch(manifest.timeout_s)
        self._model = f"{manifest.model.name!r}, version {manifest.model.version!r}"
        self._own_header = (b"x-fdpipe-release", manifest.digest.encode())

    def serves(self, path: str) -> bool:
        """Whether a path is one of a protocol, known or not. `/` is not: on BentoML's port it is the page about the service."""
        return _root(path) in self._roots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        method: str = scope["method"]
        route = self._routes.get((method, scope["path"]))
        deadline = time.monotonic() + self._timeout_s
        if method == "POST" and route and (refusal := self._door.refusal(deadline)):
            self._figures.refuse(route.protocol, refusal)
            await self._turn_away(route.told(refusal), scope, receive, send)
            return
        call = Call(route.protocol if route else "http", deadline)
        if method != "POST":
            await self._send(await self._reply(route, call, scope, None), send)
            return
        body = _Body(scope["headers"], receive)
        self._figures.begin()
        self._watch.begin(call, receive)
        try:
            reply = await self._reply(route, call, scope, body)
            call.status = reply.status
            if body.is_whole:
                await self._send(reply, send)
            else:
                self._bodies.let_go(call)
                call.held_bytes = 0
                await self._send_early(reply, send, body, call)
        except asyncio.CancelledError:
            if call.cut is None:
                raise
            _go_on()
        finally:
            self._watch.end(call)
            self._bodies.let_go(call)
            self._figures.end(call)

    async def refuse(
        self, scope: Scope, refusal: Refusal, send: Send, headers: Headers = (), receive: Receive | None = None
    ) -> None:
        """One request, before anything is done with it, in its protocol's form and with more headers."""
        route = self._routes.get((scope["method"], scope["path"]))
        self._figures.refuse(route.protocol if route else "http", refusal)
        reply = route.told(refusal) if route else refusal.reply()
        reply = Reply(reply.body, status=reply.status, headers=(*reply.headers, *headers))
        if receive is None:
            await self._send(reply, send)
        else:
            await self._turn_away(reply, scope, receive, send)

    async def _turn_away(self, reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of which nothing was read, and that is not counted as under way."""
        body, call = _Body(scope["headers"], receive), Call("http", 0.0)
        self._watch.begin(call, receive)
        try:
            await self._send_early(reply, send, body, call)
        except asyncio.CancelledError:
            if call.cut is None:
                raise
            _go_on()
        finally:
            self._watch.end(call)

    async def _send_early(self, reply: Reply, send: Send, body: _Body, call: Call) -> None:
        """An answer that does not need the rest of the body. Callers who write while they read may not expect one: the rest is
        received and dropped first. Where it is too large, or not there in time, the connection is closed; who still sends then
        is heard out, since a connection that is closed on what was sent takes the answer with it."""
        length, is_held_back = _announced(body.headers)
        if length == 0 or (not is_held_back and length <= self.max_bytes and await self._drop(body, call, self.max_bytes)):
            await self._send(reply, send)
            return
        headers = [*reply.headers, self._own_header, (b"content-length", b"%d" % len(reply.body)), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body, "more_body": True})
        if not is_held_back:
            await self._drop(body, call)
        await send({"type": "http.response.body", "body": b""})

    async def _drop(self, body: _Body, call: Call, most: float = math.inf) -> bool:
        """Receive the rest, within so many bytes of a body and the time that `Watch` gives; whether that was all."""
        try:
            while call.cut is None and not body.is_whole and body.size <= most:
                await body()
        except asyncio.CancelledError:
            if call.cut is None:
                raise
            _go_on()
        return body.is_whole

    async def _send(self, reply: Reply, send: Send) -> None:
        headers = [*reply.headers, self._own_header, (b"content-length", b"%d" % len(reply.body))]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def _reply(self, route: Route | None, call: Call, scope: Scope, receive: Receive | None) -> Reply:
        """The handler's, or a refusal's; a defect is told without a stack trace."""
        told = route.told if route else Refusal.reply
        try:
            if route is None:
                raise self._nothing(scope)
            if receive is None:
                return await route.handle(Asked(scope["headers"], b"", call))
            body = await self._bodies.read(scope["headers"], receive, call)
            return await route.handle(Asked(scope["headers"], body, call))
        except Refusal as refusal:
            call.error = refusal.kind
            return told(refusal)
        except asyncio.CancelledError:
            if call.cut is None:
                raise
            _go_on()
            call.error = call.cut.kind
            return told(call.cut)
        except Exception:
            log.exception("the request could not be answered")
            call.error = "internal"
            return told(Refusal("the request could not be answered: the service's log has the reason", status=500))

    def _nothing(self, scope: Scope) -> Refusal:
        if methods := self._methods.get(scope["path"]):
            text = f"{scope['method']} {scope['path']} is refused: {' or '.join(methods)} is allowed"
            return Refusal(text, status=405, kind="not_allowed")
        text = f"there is nothing at {scope['method']} {scope['path']}: this is the model {self._model}"
        return Refusal(text, status=404, kind="not_found")


def _announced(headers: Headers) -> tuple[int, bool]:
    """The size of a body in bytes, 1 where it comes in pieces; and whether the caller may wait to be asked for it."""
    length, is_held_back = 0, False
    for name, value in headers:
        if name == b"content-length":
            length = int(value) if value.isdigit() and len(value) <= _LONGEST_LENGTH else 1
        elif name == b"transfer-encoding":
            length = length or 1
        elif name == b"expect":
            is_held_back = True
    return length, is_held_back


def _go_on() -> None:
    """The cancellation of the task that runs now has done its work."""
    task = asyncio.current_task()
    assert task is not None
    task.uncancel()


def _root(path: str) -> str:
    """`/v2` of `/v2/models`."""
    return path.split("/", 2)[1] if path.startswith("/") else path
