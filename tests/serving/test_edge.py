"""What stands before BentoML's own application."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from fdpipe.serving.edge import Edge
from fdpipe.serving.figures import Figures
from tests.serving.test_application import Seen, application


def ask(path: str, seen: Seen, method: str = "POST", content: bytes = b"") -> httpx.Response:
    async def other(request: Request) -> Response:
        return PlainTextResponse("other")

    async def page(request: Request) -> Response:
        return HTMLResponse("<p>")

    async def fails(request: Request) -> Response:
        return PlainTextResponse("Traceback: a secret", status_code=500)

    methods = ["GET", "POST"]
    bentoml = Starlette(
        routes=[
            Route("/metrics", other, methods=methods),
            Route("/docs", page, methods=methods),
            Route("/fails", fails, methods=methods),
            Route("/v2/echo", fails, methods=methods),
        ]
    )

    async def call() -> httpx.Response:
        figures = Figures([seen])
        edge = Edge(bentoml, application(figures))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=edge), base_url="http://x") as client:
            reply = await client.request(method, path, content=content)
        figures.tell()
        return reply

    return asyncio.run(call())


def test_our_protocols_do_not_come_to_bentoml() -> None:
    seen = Seen()
    assert ask("/v2/echo", seen, content=b"hello").text == "hello"
    assert [one.protocol for one in seen.exchanges] == ["oip_rest"]


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("POST", "/nosuch", 404, "POST /nosuch is refused: Not Found"),
        ("DELETE", "/metrics", 405, "DELETE /metrics is refused: Method Not Allowed"),
        ("GET", "/fails", 500, "GET /fails is refused: Internal Server Error"),
    ],
)
def test_an_error_that_is_not_ours_is_put_in_our_words(method: str, path: str, status: int, says: str) -> None:
    reply = ask(path, Seen(), method=method)
    assert (reply.status_code, reply.json()) == (status, {"error": says})
    assert reply.headers["content-type"] == "application/json"
    assert int(reply.headers["content-length"]) == len(reply.content)
    assert ("allow" in reply.headers) == (status == 405)


def test_what_is_bentomls_own_is_left_alone() -> None:
    seen = Seen()
    reply = ask("/metrics", seen)
    assert reply.text == "other"
    assert "x-fdpipe-release" not in reply.headers
    assert "content-security-policy" not in reply.headers
    assert seen.exchanges == []


def test_pages_load_nothing_from_elsewhere() -> None:
    assert ask("/docs", Seen(), method="GET").headers["content-security-policy"].startswith("default-src 'self'")
