"""API keys: who has one may ask, on every port; whether the service is healthy anybody may ask."""

import hashlib
import hmac
import os
from collections.abc import Iterable
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from fdpipe.access import KEYS_FILE, keys_in
from fdpipe.serving.application import Application
from fdpipe.serving.refusal import Refusal
from fdpipe.serving.statuses import Metadata

SHORTEST = 16
"""Characters; what is shorter can be guessed."""

OPEN = frozenset({"/livez", "/readyz", "/healthz", "/v2/health/live", "/v2/health/ready"})

WWW_AUTHENTICATE = (b"www-authenticate", b"Bearer")
_BEARER = b"bearer "


class Keys:
    """Which keys let in; only their hashes are held. `ValueError` for none, and for one that is too short."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        found = list(keys)
        if not found:
            raise ValueError("it has no key")
        if any(len(key) < SHORTEST for key in found):
            raise ValueError(f"a key must have at least {SHORTEST} characters")
        self._hashes = [hashlib.sha256(key).digest() for key in found]

    def require(self, authorization: bytes | None, api_key: bytes | None) -> None:
        """`Refusal` unless `Authorization: Bearer` or `X-Api-Key` has a key."""
        if api_key is None and authorization is not None and authorization[: len(_BEARER)].lower() == _BEARER:
            api_key = authorization[len(_BEARER) :].strip()
        if api_key is None or not self._has(api_key):
            what = "no API key came with the request" if api_key is None else "the API key is not known"
            raise Refusal(f"{what}: send one as `Authorization: Bearer …` or `X-Api-Key: …`", status=401, kind="no_key")

    def vet(self, metadata: Metadata) -> None:
        """The same of what comes over gRPC."""
        found = {name: value.encode() if isinstance(value, str) else value for name, value in metadata}
        self.require(found.get("authorization"), found.get("x-api-key"))

    def _has(self, key: bytes) -> bool:
        """In a time that does not tell which key, or how much of one, was right."""
        own = hashlib.sha256(key).digest()
        return sum(hmac.compare_digest(own, one) for one in self._hashes) > 0


class Guard:
    """ASGI middleware: only who has a key gets past it. Without keys everybody does."""

    def __init__(self, app: ASGIApp, application: Application, keys: Keys | None) -> None:
        self.app, self.application, self.keys = app, application, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it in its protocol's form."""
        if self.keys is not None and scope["type"] != "lifespan" and scope["path"] not in OPEN:
            headers = dict(scope["headers"])
            try:
                self.keys.require(headers.get(b"authorization"), headers.get(b"x-api-key"))
            except Refusal as refusal:
                if scope["type"] == "http":
                    await self.application.refuse(scope, refusal, send, (WWW_AUTHENTICATE,), receive)
                else:
                    await send({"type": "websocket.close", "code": 1008})
                return
        await self.app(scope, receive, send)


def from_environment() -> Keys | None:
    """The keys in the file that the environment names, if it names one; ends the process with one line where that is no use."""
    if not (path := os.environ.get(KEYS_FILE)):
        return None
    try:
        return Keys(keys_in(Path(path)))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SystemExit(
            f"fdpipe: {KEYS_FILE} names {path}: {reason}; write one key of {SHORTEST} or more characters a line"
        ) from error
