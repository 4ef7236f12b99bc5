"""What every request passes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from fdpipe.interfaces import Exchange
from fdpipe.serving.edge import Call, Edge, answer
from fdpipe.serving.refusal import Refusal
from tests.contracts.monitor import RELEASE


@dataclass
class Seen:
    """A probe that keeps what it is told."""

    begun: int = 0
    exchanges: list[Exchange] = field(default_factory=list)

    def begin(self) -> None:
        self.begun += 1

    def observe(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)


class Broken:
    """A probe with a defect."""

    def begin(self) -> None:
        raise RuntimeError("begin")

    def observe(self, exchange: Exchange) -> None:
        raise RuntimeError("observe")


async def echo(request: Request, call: Call) -> Response:
    return PlainTextResponse(await request.body())


async def fails(request: Request, call: Call) -> Response:
    raise RuntimeError("a secret")


async def refuses(request: Request, call: Call) -> Response:
    raise Refusal("one\n line", status=422, kind="not_finite")


async def sleeps(request: Request, call: Call) -> Response:
    await asyncio.sleep(30)
    raise AssertionError


def _app() -> Starlette:
    def route(work: object) -> Route:
        async def endpoint(request: Request) -> Response:
            return await answer(request, lambda call: work(request, call))  # type: ignore[operator]

        return Route(f"/v2/{work.__name__}", endpoint, methods=["GET", "POST"])  # type: ignore[attr-defined]

    async def other(request: Request) -> Response:
        return PlainTextResponse("other")

    return Starlette(routes=[*map(route, (echo, fails, refuses, sleeps)), Route("/metrics", other, methods=["GET", "POST"])])


def ask(path: str, *probes: Seen | Broken, method: str = "POST", content: bytes | AsyncIterator[bytes] = b"") -> httpx.Response:
    edge = Edge(_app(), replace(RELEASE, timeout_s=0.3, max_body_mib=0.125), probes)

    async def call() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=edge), base_url="http://x") as client:
            return await client.request(method, path, content=content)

    return asyncio.run(call())


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size):
        yield b"0123456789" * 1000


def test_an_answer_passes() -> None:
    seen = Seen()
    reply = ask("/v2/echo", seen, content=chunks(10))
    assert reply.text == "0123456789" * 10_000
    assert reply.headers["x-fdpipe-release"] == RELEASE.digest
    (exchange,) = seen.exchanges
    assert (exchange.protocol, exchange.status, exchange.error) == ("oip_rest", 200, None)
    assert 0 < exchange.seconds < 5


@pytest.mark.parametrize("content", [b"x" * 200_000, chunks(20)], ids=["announced", "in pieces"])
def test_a_large_body(content: bytes | AsyncIterator[bytes]) -> None:
    seen = Seen()
    reply = ask("/v2/echo", seen, content=content)
    assert reply.status_code == 413
    assert reply.json() == {"error": "the body is larger than 0.125 MiB"}
    assert reply.headers["x-fdpipe-release"] == RELEASE.digest
    assert seen.exchanges[0].error == "too_large"


def test_a_slow_sender() -> None:
    async def drops() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.05)
            yield b"x"

    seen = Seen()
    reply = ask("/v2/echo", seen, content=drops())
    assert (reply.status_code, reply.json()) == (408, {"error": "the body was not there within 0.3 s"})
    assert seen.exchanges[0].error == "timeout"


def test_a_refusal_that_is_not_ours_is_put_in_our_words() -> None:
    reply = ask("/nosuch")
    assert (reply.status_code, reply.json()) == (404, {"error": "POST /nosuch is refused: Not Found"})
    reply = ask("/metrics", method="DELETE")
    assert (reply.status_code, reply.json()) == (405, {"error": "DELETE /metrics is refused: Method Not Allowed"})
    assert reply.headers["allow"]


@pytest.mark.parametrize(
    ("path", "status", "says", "kind"),
    [
        ("/v2/fails", 500, "the request could not be answered: the service's log has the reason", "internal"),
        ("/v2/refuses", 422, "one line", "not_finite"),
        ("/v2/sleeps", 504, "there was no answer within 0.3 s", "timeout"),
    ],
)
def test_errors(path: str, status: int, says: str, kind: str) -> None:
    seen = Seen()
    reply = ask(path, seen)
    assert (reply.status_code, reply.json()) == (status, {"error": says})
    assert (seen.exchanges[0].status, seen.exchanges[0].error) == (status, kind)


def test_only_calls_for_answers_are_counted() -> None:
    seen = Seen()
    assert ask("/v2/echo", seen, method="GET").headers["x-fdpipe-release"] == RELEASE.digest
    assert "x-fdpipe-release" not in ask("/metrics", seen).headers
    assert (seen.begun, seen.exchanges) == (0, [])


def test_a_broken_monitor_costs_no_answer() -> None:
    seen = Seen()
    assert ask("/v2/echo", Broken(), seen, content=b"hello").text == "hello"
    assert (seen.begun, len(seen.exchanges)) == (1, 1)


def test_a_caller_who_leaves() -> None:
    seen = Seen()
    sent: list[object] = []

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v2/echo", "headers": []}
    asyncio.run(Edge(_app(), RELEASE, [seen])(scope, receive, send))
    assert seen.exchanges[0].error == "disconnected"
