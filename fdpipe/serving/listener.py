"""A second port for an application, in the process and on the event loop of a server that runs already."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

PORT = "FDPIPE_SERVICE_PORT"
HOST = "FDPIPE_SERVICE_HOST"


def wanted_address() -> tuple[str, int] | None:
    """Where the Open Inference Protocol's own port is: beside BentoML's, which whoever starts the service tells; else None."""
    port = os.environ.get(PORT)
    return (os.environ.get(HOST, "127.0.0.1"), int(port) + 1) if port else None


class _Guest(uvicorn.Server):
    """A server that leaves signals to its host."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listener:
    """The second port, from `start` to `stop`."""

    def __init__(self, app: ASGIApp) -> None:
        self.server = _Guest(uvicorn.Config(app, log_config=None, access_log=False, server_header=False, lifespan="off"))
        self.task: asyncio.Task[None] | None = None

    def start(self, host: str, port: int) -> None:
        """Listen; `OSError` where the port is taken."""
        self.task = asyncio.get_running_loop().create_task(self.server.serve(sockets=[listening_socket(host, port)]))

    async def stop(self) -> None:
        """Let the requests under way end, then close."""
        if self.task is not None:
            self.server.should_exit = True
            await self.task


def listening_socket(host: str, port: int) -> socket.socket:
    """It listens already, so that a port that two have bound is noticed here, and not by a task that nobody waits for."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is given; without it each answer waits 40 ms for an acknowledgement
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen()
    return listening
