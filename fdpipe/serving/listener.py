"""A second port for an application, in the process and on the event loop of a server that runs already."""

import asyncio
import functools
import logging
import os
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from fdpipe.serving.connection import Connection, Limits
from fdpipe.serving.tls import Tls

log = logging.getLogger(__name__)

PORT = "FDPIPE_SERVICE_PORT"
HOST = "FDPIPE_SERVICE_HOST"

BACKLOG = 2048
"""Connections that may wait to be accepted."""

_KEEP_ALIVE_S = 65
"""Without a request; load balancers mostly end theirs after a minute, and who ends it first never loses a request."""

_TICKS = 10
"""uvicorn's server ticks ten times a second."""

_LOOK_S = 1.0

_DRAIN_S = 60.0


def wanted_address() -> tuple[str, int] | None:
    """Where the Open Inference Protocol's own port is: beside BentoML's, which whoever starts the service tells; else None."""
    port = os.environ.get(PORT)
    return (os.environ.get(HOST, "127.0.0.1"), int(port) + 1) if port else None


class _Guest(uvicorn.Server):
    """A server that leaves signals to its host, and looks after slow callers."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn."""
        if counter % _TICKS == 0:
            self.look()
        return await super().on_tick(counter)

    def look(self) -> None:
        """After every connection."""
        now = asyncio.get_running_loop().time()
        for one in list(self.server_state.connections):
            if isinstance(one, Connection):
                _look(one, now)

    def abort(self) -> None:
        """Whatever is still here; of requests whose callers have gone already what does not end by that."""
        if connections := list(self.server_state.connections):
            for one in connections:
                one.transport.abort()
            return
        for task in list(self.server_state.tasks):
            task.cancel()
        self.force_exit = True


class Listener:
    """The second port, from `start` to `stop`. Several workers may listen on it, and the kernel hands each its connections."""

    def __init__(self, app: ASGIApp, limits: Limits, tls: Tls | None = None) -> None:
        self.server = _Guest(
            uvicorn.Config(
                app,
                http=functools.partial(Connection, limits),  # type: ignore[arg-type]
                ws="none",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                lifespan="off",
                timeout_keep_alive=_KEEP_ALIVE_S,
                ssl_certfile=tls.certificate if tls else None,
                ssl_keyfile=tls.key if tls else None,
                ssl_ca_certs=str(tls.client_ca) if tls and tls.client_ca else None,
                ssl_cert_reqs=ssl.CERT_REQUIRED if tls and tls.client_ca else ssl.CERT_NONE,
            )
        )
        self.task: asyncio.Task[None] | None = None

    def start(self, host: str, port: int) -> None:
        """Listen; `OSError` where the port is taken. Where the server fails later, the process ends: nobody else notices."""
        self.server.config.load()
        self.task = asyncio.get_running_loop().create_task(self.server.serve(sockets=[listening_socket(host, port)]))
        self.task.add_done_callback(self._ended)

    async def stop(self, drain_s: float = _DRAIN_S) -> None:
        """Let the requests under way end, for so many seconds at most and while their callers take the answers, then close."""
        if self.task is None:
            return
        self.server.should_exit = True
        loop = asyncio.get_running_loop()
        until = loop.time() + drain_s
        while not self.task.done():
            await asyncio.wait([self.task], timeout=min(_LOOK_S, max(0.1, until - loop.time())))
            self.server.look()
            if loop.time() >= until:
                self.server.abort()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()):
            log.error("the server of the Open Inference Protocol's own port failed: %r", error)
            if not self.server.should_exit:
                os.kill(os.getpid(), signal.SIGTERM)


def _look(connection: Connection, now: float) -> None:
    """An error here would end uvicorn's server, and with it everybody else's connections."""
    try:
        connection.look(now)
    except Exception:
        log.exception("a connection could not be looked after")


def listening_socket(host: str, port: int) -> socket.socket:
    """It listens already, so that a port that another program has bound is noticed here, and not by a task that nobody waits
    for. Workers of one user share the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is given; without it each answer waits 40 ms for an acknowledgement
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind((host, port))
    listening.listen(BACKLOG)
    return listening
