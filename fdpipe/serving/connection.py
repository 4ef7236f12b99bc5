"""A connection of the listener: uvicorn's, which bounds what it takes, and sends head and body of an answer together."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

_FRAMING = 8
"""What is sent may be so many times as large as the body in it: chunks have sizes of their own."""

_REFUSAL = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nretry-after: 1\r\nconnection: close\r\n\r\n"

_NEXT = "next request"

_SMALL_BYTES = 65_536
"""A larger body is not copied to stand behind its head."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of a listener: so many `connections` at once; of a request so many bytes before its body, and in all, with what frames
    its chunks; so many seconds until its head is there, and until a caller has taken some of an answer."""

    connections: int = 1024
    head_bytes: int = 65_536
    message_bytes: int = 2**30
    seconds: float = 10.0

    @classmethod
    def of(cls, max_body_bytes: int) -> "Limits":
        """Where a body has so many bytes at most."""
        return cls(message_bytes=cls.head_bytes + _FRAMING * max_body_bytes)


class Connection(HttpToolsProtocol):
    """From one caller."""

    def __init__(
        self,
        limits: Limits,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.limits = limits
        self._taken = 0
        self._owed: object = None
        self._since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, or refuse it where there are too many; those that are here already go on."""
        super().connection_made(Together(transport, self.loop))  # type: ignore[arg-type]
        self._since = self.loop.time()
        if len(self.connections) > self.limits.connections:
            self._refuse(b"503 Service Unavailable", b"there are too many connections: ask again later")

    def on_message_begin(self) -> None:
        """Count the bytes of each request."""
        self._taken = 0
        super().on_message_begin()

    def data_received(self, data: bytes) -> None:
        """Bytes of a request, or of several."""
        self._taken += len(data)
        super().data_received(data)
        if self._taken > self.limits.head_bytes and self.parser is not None:
            self._require_bounded()

    def look(self, now: float) -> None:
        """End it where the caller has owed the same for too long. `now` is a time of the event loop."""
        owed = self._owes()
        if owed != self._owed:
            self._owed, self._since = owed, now
        elif owed is not False and now - self._since > self._patience(owed):
            self.transport.abort()

    def _owes(self) -> object:
        """The rest of a head (None for that of the first request), to take what is written, or the next request; False for
        nothing."""
        if self.flow.write_paused:
            return self.cycle, self.transport.get_write_buffer_size()
        if self.cycle is None:
            return None
        if not self.cycle.response_complete:
            return False
        return self.cycle if self._is_in_head() else (self.cycle, _NEXT)

    def _patience(self, owed: object) -> float:
        """Seconds. uvicorn ends a pause, too, but no more once any byte has come in it: of a body that was refused, or none of
        a request."""
        return self.config.timeout_keep_alive if owed == (self.cycle, _NEXT) else self.limits.seconds

    def _is_in_head(self) -> bool:
        """Whether a request has begun, of which the head is not complete."""
        return self.scope is not None and "path" not in self.scope

    def _require_bounded(self) -> None:
        if self._is_in_head():
            self._refuse(b"431 Request Header Fields Too Large", b"the request's headers are too large")
        elif self._taken > self.limits.message_bytes:
            self.transport.close()

    def _refuse(self, status: bytes, text: bytes) -> None:
        body = b'{"error":"%s"}' % text
        self.transport.write(_REFUSAL % (status, len(body)) + body)
        self.transport.close()


class Together:
    """A transport that holds the head of an answer back until its body is written, or everything else that is ready on the
    event loop has run: one system call less, and the caller wakes once."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._send: Callable[[bytes], None] = transport.write
        self._later = loop.call_soon
        self._head = b""
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever transports have
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """A head waits; anything else goes, with the head that waits for it."""
        if self._head:
            head, self._head = self._head, b""
            if len(data) <= _SMALL_BYTES:
                self._send(head + data)
                return
            self._send(head)
        elif data.startswith(b"HTTP/"):
            self._head = data
            self._later(self._flush)
            return
        self._send(data)

    def close(self) -> None:
        """Once everything is written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._send(head)
