"""The bodies of requests: read whole, never more than the limit of one, nor than the limit of all that are here at once."""

from starlette.types import Message, Receive

from fdpipe.serving.call import Call, Headers
from fdpipe.serving.refusal import Refusal

MOST_MIB = 64
"""All bodies of requests under way, in a worker, or twice the limit of one, if that is more; a single one may be larger."""

_LONGEST_LENGTH = 20
"""Digits; Python refuses to read numbers of thousands of them."""


class Bodies:
    """Used on the event loop of one worker. `limit` is in bytes, of one body."""

    def __init__(self, limit: int, most: int | None = None) -> None:
        self._limit = limit
        self._most = max(MOST_MIB * 2**20, 2 * limit) if most is None else most
        self._held = 0

    async def read(self, headers: Headers, receive: Receive, call: Call) -> bytes:
        """The body; refused as soon as its announced or actual size is too much. Only what has come takes from what others may
        send: who announces much and sends nothing must not shut the service."""
        self._require_within(_announced(headers))
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            body: bytes = message.get("body", b"")
            self._hold(len(body), call)
        else:
            body = await self._rest(message, receive, call)
        call.is_read = True
        return body

    def let_go(self, call: Call) -> None:
        """The request has ended."""
        self._held -= call.held_bytes

    async def _rest(self, message: Message, receive: Receive, call: Call) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while True:
            if message["type"] == "http.disconnect":
                raise Refusal("the caller has gone", status=499, kind="disconnected")
            chunk: bytes = message.get("body", b"")
            chunks.append(chunk)
            size += len(chunk)
            self._hold(size - call.held_bytes, call)
            if not message.get("more_body", False):
                return b"".join(chunks)
            message = await receive()

    def _hold(self, more: int, call: Call) -> None:
        """So many bytes more have come."""
        self._require_within(call.held_bytes + more)
        if self._held > call.held_bytes and self._held + more > self._most:
            text = f"{self._held / 2**20:.3g} MiB of other requests are here already: ask again later"
            raise Refusal(text, status=503, kind="overloaded", retry_after_s=1)
        call.held_bytes += more
        self._held += more

    def _require_within(self, size: int) -> None:
        if size > self._limit:
            raise Refusal(f"the body is larger than {self._limit / 2**20:g} MiB", status=413, kind="too_large")


def _announced(headers: Headers) -> int:
    """The body's size in bytes, 0 where it is not told; `Refusal` for a kind of body that is not taken."""
    size = 0
    for name, value in headers:
        if name == b"content-length":
            size = int(value) if value.isdigit() and len(value) <= _LONGEST_LENGTH else 0
        elif name == b"content-type":
            if b"pickle" in value.lower():
                raise Refusal("pickled bodies are refused", status=415)
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise Refusal("compressed bodies are not supported", status=415)
    return size
