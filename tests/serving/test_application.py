"""What every request over HTTP passes, on the application's own port."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

import httpx
import pytest
from starlette.types import Message

from fdpipe.interfaces import Exchange, Probe
from fdpipe.serving.application import Application, Handler, Route
from fdpipe.serving.call import Asked, Reply
from fdpipe.serving.figures import Figures
from fdpipe.serving.refusal import Refusal
from tests.contracts.monitor import RELEASE

LIMITED = replace(RELEASE, timeout_s=0.3, max_body_mib=0.125)


@dataclass
class Seen:
    """A probe that keeps what it is told."""

    exchanges: list[Exchange] = field(default_factory=list)
    in_flight: int = -1

    def observe(self, exchanges: Sequence[Exchange], in_flight: int) -> None:
        self.exchanges += exchanges
        self.in_flight = in_flight


class Broken:
    """A probe with a defect."""

    def observe(self, exchanges: Sequence[Exchange], in_flight: int) -> None:
        raise RuntimeError("observe")


async def echo(asked: Asked) -> Reply:
    return Reply(asked.body, headers=((b"content-type", b"text/plain"),))


async def fails(asked: Asked) -> Reply:
    raise RuntimeError("a secret")


async def refuses(asked: Asked) -> Reply:
    raise Refusal("one\n line", status=422, kind="not_finite", retry_after_s=2.4)


def application(figures: Figures) -> Application:
    def route(method: str, handle: Handler) -> Route:
        return Route(method=method, path=f"/v2/{handle.__name__}", protocol="oip_rest", handle=handle)

    return Application([*(route("POST", one) for one in (echo, fails, refuses)), route("GET", echo)], LIMITED, figures)


def ask(path: str, *probes: Probe, method: str = "POST", content: bytes | AsyncIterator[bytes] = b"") -> httpx.Response:
    async def call() -> httpx.Response:
        figures = Figures(probes)
        transport = httpx.ASGITransport(app=application(figures))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            reply = await client.request(method, path, content=content)
        figures.tell()
        return reply

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


def test_what_is_nowhere_and_what_is_not_allowed() -> None:
    reply = ask("/v2/nosuch")
    assert (reply.status_code, reply.json()) == (
        404,
        {"error": "there is nothing at POST /v2/nosuch: this is the model 'tiny', version '3'"},
    )
    reply = ask("/v2/fails", method="GET")
    assert (reply.status_code, reply.json()) == (405, {"error": "GET /v2/fails is refused: POST is allowed"})


@pytest.mark.parametrize(
    ("path", "status", "says", "kind"),
    [
        ("/v2/fails", 500, "the request could not be answered: the service's log has the reason", "internal"),
        ("/v2/refuses", 422, "one line", "not_finite"),
    ],
)
def test_errors(path: str, status: int, says: str, kind: str) -> None:
    seen = Seen()
    reply = ask(path, seen)
    assert (reply.status_code, reply.json()) == (status, {"error": says})
    assert reply.headers.get("retry-after") == ("2" if status == 422 else None)
    assert (seen.exchanges[0].status, seen.exchanges[0].error) == (status, kind)


def test_only_calls_for_answers_are_counted() -> None:
    seen = Seen()
    assert ask("/v2/echo", seen, method="GET").headers["x-fdpipe-release"] == RELEASE.digest
    assert (seen.exchanges, seen.in_flight) == ([], 0)


def test_a_broken_monitor_costs_no_answer() -> None:
    seen = Seen()
    assert ask("/v2/echo", Broken(), seen, content=b"hello").text == "hello"
    assert len(seen.exchanges) == 1


@pytest.mark.parametrize(
    ("header", "says"),
    [("content-encoding", "compressed bodies are not supported"), ("content-type", "pickled bodies are refused")],
)
def test_bodies_of_another_kind(header: str, says: str) -> None:
    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(app=application(Figures([])))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.post("/v2/echo", content=b"x", headers={header: "application/x-pickle"})

    reply = asyncio.run(call())
    assert (reply.status_code, reply.json()) == (415, {"error": says})


def test_who_is_not_admitted_is_refused_without_the_body() -> None:
    seen = Seen()
    sent: list[int] = []

    def nobody(deadline: float) -> None:
        raise Refusal("later", status=503, kind="overloaded", retry_after_s=7)

    async def pieces(count: int) -> AsyncIterator[bytes]:
        for size in range(count):
            sent.append(size)
            yield b"x" * 1000

    async def call() -> None:
        route = Route(method="POST", path="/v2/echo", protocol="oip_rest", handle=echo)
        figures = Figures([seen])
        app = Application([route, replace(route, method="GET")], LIMITED, figures, nobody)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:
            assert (await client.get("/v2/echo")).status_code == 200
            whole = await client.post("/v2/echo", content=pieces(5))
            assert (whole.status_code, whole.json(), whole.headers["retry-after"]) == (503, {"error": "later"}, "7")
            assert sent.pop() == 4
            assert "connection" not in whole.headers
            sent.clear()
            unread = await client.post("/v2/echo", content=pieces(5), headers={"expect": "100-continue"})
            assert (unread.status_code, unread.headers["connection"], sent) == (503, "close", [])
        figures.tell()

    asyncio.run(call())
    assert [(one.protocol, one.status, one.error) for one in seen.exchanges] == [("oip_rest", 503, "overloaded")] * 2


def test_a_caller_who_leaves_while_the_answer_is_made_ends_its_making() -> None:
    seen = Seen()
    ended: list[str] = []

    async def makes(asked: Asked) -> Reply:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")
        raise AssertionError

    async def call() -> None:
        figures = Figures([seen])
        route = Route(method="POST", path="/v2/makes", protocol="oip_rest", handle=makes)
        messages: list[Message] = [{"type": "http.disconnect"}, {"type": "http.request", "body": b"x", "more_body": False}]
        statuses: list[int] = []

        async def receive() -> Message:
            return messages.pop()

        async def send(message: Message) -> None:
            statuses.append(message.get("status", 0))

        app = Application([route], LIMITED, figures)
        await app({"type": "http", "method": "POST", "path": "/v2/makes", "headers": []}, receive, send)
        assert statuses == [499, 0]
        figures.tell()

    asyncio.run(call())
    assert ended == ["ended"]
    assert seen.exchanges[0].error == "disconnected"
    assert seen.in_flight == 0


def test_a_cancellation_from_elsewhere_stays_one() -> None:
    seen = Seen()

    async def makes(asked: Asked) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b""}

    async def send(message: object) -> None:
        raise AssertionError

    async def call() -> None:
        figures = Figures([seen])
        app = Application([Route(method="POST", path="/", protocol="oip_rest", handle=makes)], LIMITED, figures)
        task = asyncio.create_task(app({"type": "http", "method": "POST", "path": "/", "headers": []}, receive, send))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        figures.tell()

    asyncio.run(call())
    assert seen.exchanges[0].status == 499


def test_a_caller_who_leaves() -> None:
    seen = Seen()

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: object) -> None: ...

    async def call() -> None:
        figures = Figures([seen])
        scope = {"type": "http", "method": "POST", "path": "/v2/echo", "headers": []}
        await application(figures)(scope, receive, send)
        figures.tell()

    asyncio.run(call())
    assert seen.exchanges[0].error == "disconnected"
