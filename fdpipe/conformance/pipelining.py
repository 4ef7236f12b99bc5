"""Requests that are all sent on one connection before any answer is read, as HTTP/1.1 allows."""

import http.client
import io
import socket
import ssl
from collections.abc import Sequence
from urllib.parse import urlsplit

from fdpipe.conformance.rest import Post
from fdpipe.conformance.subject import Place

Reply = tuple[int, dict[str, str], bytes]
"""The status, the headers by their name in lower case, and the body."""


class _Kept(io.BufferedReader):
    """Stays open when a response that was read from it is done."""

    def close(self) -> None:
        pass


class _Source:
    """What `http.client` takes for a socket."""

    def __init__(self, file: _Kept) -> None:
        self._file = file

    def makefile(self, mode: str) -> _Kept:
        return self._file


def pipelined(place: Place, posts: Sequence[Post]) -> list[Reply]:
    """The replies in the order in which they come; `OSError` or `ValueError` where one does not."""
    parts = urlsplit(place.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), place.timeout_s) as plain:
        wire = plain if parts.scheme == "http" else _wrapped(plain, parts.hostname or "")
        wire.sendall(b"".join(_written(place, parts.netloc, one) for one in posts))
        file = _Kept(socket.SocketIO(wire, "r"))
        return [_read(file) for _ in posts]


def _wrapped(plain: socket.socket, host: str) -> socket.socket:
    return ssl.create_default_context().wrap_socket(plain, server_hostname=host)


def _written(place: Place, netloc: str, post: Post) -> bytes:
    headers = {"host": netloc, "content-length": str(len(post.body)), **place.headers, **post.headers}
    lines = [f"POST {post.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + post.body


def _read(file: _Kept) -> Reply:
    response = http.client.HTTPResponse(_Source(file), method="POST")  # type: ignore[arg-type]
    try:
        response.begin()
        body = response.read()
    except http.client.HTTPException as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return response.status, {name.lower(): value for name, value in response.getheaders()}, body
