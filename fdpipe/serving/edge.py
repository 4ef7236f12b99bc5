"""What stands before BentoML's own application on its port: our protocols, and one form of errors."""

from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fdpipe.serving.application import Application
from fdpipe.serving.refusal import Refusal

_OWN_ONLY = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'"
"""For pages: BentoML's own at / would have the browser load Google's tag manager."""


class Edge:
    """ASGI middleware. What the application serves never comes to BentoML; its pages, documentation and health do."""

    def __init__(self, app: ASGIApp, application: Application) -> None:
        self.app = app
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif self.application.serves(scope["path"]):
            await self.application(scope, receive, send)
        else:
            await self.app(scope, receive, _worded(scope, send))


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
    told = Refusal(f"{scope['method']} {scope['path']} is refused: {reason}", status=start["status"]).reply()
    headers = MutableHeaders(scope=start)
    headers.update({"content-type": "application/json", "content-length": str(len(told.body))})
    return told.body
