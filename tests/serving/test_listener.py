"""The second port, with callers who are slow, many, or send without end: real connections."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from fdpipe.serving.application import Application, Route
from fdpipe.serving.call import Asked, Reply
from fdpipe.serving.connection import Connection, Limits
from fdpipe.serving.figures import Figures
from fdpipe.serving.listener import Listener
from fdpipe.serving.refusal import Refusal
from tests.contracts.monitor import RELEASE
from tests.tiny.release import free_triple

HEAD = b"POST /v2 HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Echo:
    """Answers what it gets, and `size` bytes besides."""

    size: int = 0
    asked: int = 0
    stopped: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.stopped.append("gone")
                return
            body += message["body"]
            more = message["more_body"]
        body += b"HTTP/" * (self.size // 5)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})


def served(work: Callable[[Callable[[], Awaitable[Streams]], Listener], Awaitable[None]], app: ASGIApp, limits: Limits) -> None:
    async def inside() -> None:
        listener = Listener(app, limits)
        port = free_triple()
        listener.start("127.0.0.1", port)
        while not listener.server.started:
            await asyncio.sleep(0.01)
        await work(lambda: asyncio.open_connection("127.0.0.1", port), listener)
        await listener.stop()

    uvloop.run(inside())


async def answer(streams: Streams) -> tuple[bytes, bytes]:
    """Status line and body."""
    reader, _ = streams
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.partition(b":")[2]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    return head.partition(b"\r\n")[0], await reader.readexactly(length)


@pytest.mark.parametrize("size", [0, 20, 300_000])
def test_head_and_body_of_an_answer(size: int) -> None:
    async def work(connect: Callable[[], Awaitable[Streams]], listener: Listener) -> None:
        streams = await connect()
        for _ in range(3):
            streams[1].write(HEAD + b"abc")
            assert await answer(streams) == (b"HTTP/1.1 200 OK", b"abc" + b"HTTP/" * (size // 5))
        streams[1].write(HEAD.replace(b"\r\n\r\n", b"\r\nexpect: 100-continue\r\n\r\n"))
        assert await streams[0].readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        streams[1].write(b"abc" + HEAD + b"def")
        assert (await answer(streams))[1][:3] == b"abc"
        assert (await answer(streams))[1][:3] == b"def"
        streams[1].close()

    served(work, Echo(size), Limits())


def test_too_many_connections_are_refused_and_those_that_are_here_go_on() -> None:
    async def work(connect: Callable[[], Awaitable[Streams]], listener: Listener) -> None:
        first, second = await connect(), await connect()
        for one in (first, second):
            one[1].write(HEAD + b"abc")
            await answer(one)
        third = await connect()
        status, body = await answer(third)
        assert (status, body) == (
            b"HTTP/1.1 503 Service Unavailable", b'{"error":"there are too many connections: ask again later"}'
        )  # fmt: skip
        assert await third[0].read() == b""
        first[1].write(HEAD + b"abc")
        assert (await answer(first))[1] == b"abc"
        for one in (first, second, third):
            one[1].close()

    served(work, Echo(), Limits(connections=2))


def test_a_head_without_end() -> None:
    app = Echo()
    served(lambda connect, listener: _dripped(connect), app, Limits(head_bytes=1000))
    assert app.asked == 0


async def _dripped(connect: Callable[[], Awaitable[Streams]]) -> None:
    reader, writer = await connect()
    writer.write(b"POST /v2 HTTP/1.1\r\n")
    await writer.drain()
    asked = asyncio.create_task(answer((reader, writer)))
    while not asked.done():
        writer.write(b"x: %s\r\n" % (b"y" * 100))
        await asyncio.sleep(0.005)
    status, _ = await asked
    assert status == b"HTTP/1.1 431 Request Header Fields Too Large"
    writer.close()


def test_a_message_without_end_is_cut_off() -> None:
    async def work(connect: Callable[[], Awaitable[Streams]], listener: Listener) -> None:
        reader, writer = await connect()
        writer.write(b"POST /v2 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            while not reader.at_eof():
                writer.write(b"1;%s\r\nx\r\n" % (b"e" * 100))
                await asyncio.sleep(0.005)
                if writer.is_closing():
                    break
        except ConnectionError:
            pass
        writer.close()

    app = Echo()
    served(work, app, Limits(head_bytes=500, message_bytes=2000))
    assert app.stopped == ["gone"]


def test_who_never_completes_a_head_is_let_go_and_who_only_pauses_is_not() -> None:
    async def work(connect: Callable[[], Awaitable[Streams]], listener: Listener) -> None:
        silent, halting, pausing = await connect(), await connect(), await connect()
        pausing[1].write(HEAD + b"abc")
        await answer(pausing)
        halting[1].write(HEAD + b"abc" + HEAD[:20])
        await answer(halting)
        connections = [one for one in listener.server.server_state.connections if isinstance(one, Connection)]
        assert len(connections) == 3
        now = asyncio.get_running_loop().time()
        for later in (1, 12, 24):
            for one in connections:
                if one in listener.server.server_state.connections:
                    one.look(now + later)
            await asyncio.sleep(0.01)
        for reader, _ in (silent, halting):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
        pausing[1].write(HEAD + b"abc")
        assert (await answer(pausing))[1] == b"abc"
        pausing[1].close()

    served(work, Echo(), Limits(seconds=10))


def test_who_does_not_take_the_answer_is_let_go() -> None:
    async def work(connect: Callable[[], Awaitable[Streams]], listener: Listener) -> None:
        _, writer = await connect()
        writer.write(HEAD + b"abc")
        state = listener.server.server_state
        while not any(isinstance(one, Connection) and one.flow.write_paused for one in state.connections):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        (stuck,) = state.connections
        assert isinstance(stuck, Connection)
        now = asyncio.get_running_loop().time()
        stuck.look(now)
        stuck.look(now + 5)
        assert stuck in state.connections
        stuck.look(now + 11)
        await asyncio.sleep(0.01)
        assert not state.connections
        writer.close()

    served(work, Echo(size=50_000_000), Limits(seconds=10))


@pytest.mark.parametrize("drain_s", [0.2, 60])
def test_who_does_not_take_the_answer_does_not_hold_the_end_up(drain_s: float) -> None:
    async def work(connect: Callable[[], Awaitable[Streams]], listener: Listener) -> None:
        _, writer = await connect()
        writer.write(HEAD + b"abc")
        state = listener.server.server_state
        while not any(isinstance(one, Connection) and one.flow.write_paused for one in state.connections):
            await asyncio.sleep(0.01)
        await asyncio.wait_for(listener.stop(drain_s), 20)
        assert not state.connections
        assert not state.tasks
        writer.close()

    served(work, Echo(size=50_000_000), Limits(seconds=0.5 if drain_s == 60 else 60))


def test_a_request_without_end_does_not_hold_the_end_up() -> None:
    cancelled: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    async def work(connect: Callable[[], Awaitable[Streams]], listener: Listener) -> None:
        _, writer = await connect()
        writer.write(HEAD)
        while not listener.server.server_state.tasks:
            await asyncio.sleep(0.01)
        await asyncio.wait_for(listener.stop(0.2), 20)
        writer.close()

    served(work, app, Limits())
    assert cancelled == [True]


def test_a_server_that_fails_ends_the_process(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    async def inside() -> None:
        listener = Listener(Echo(), Limits())
        asked = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)

        async def fails(counter: int) -> bool:
            raise RuntimeError("a defect")

        monkeypatch.setattr(listener.server, "on_tick", fails)
        listener.start("127.0.0.1", free_triple())
        assert listener.server.config.loaded
        await asyncio.wait_for(asked.wait(), 20)
        await listener.stop()

    with caplog.at_level(logging.ERROR, "fdpipe"):
        uvloop.run(inside())
    (line,) = (record.getMessage() for record in caplog.records if record.name == "fdpipe.serving.listener")
    assert "RuntimeError('a defect')" in line


@pytest.mark.parametrize("more", [b"", b"\r\n", b"drip"])
def test_a_pause_without_end_is_ended_whatever_little_came_in_it(more: bytes) -> None:
    async def work(connect: Callable[[], Awaitable[Streams]], listener: Listener) -> None:
        streams = await connect()
        if more == b"drip":
            streams[1].write(HEAD.replace(b": 3", b": 300"))
        else:
            streams[1].write(HEAD + b"abc" + more)
        await answer(streams)
        (one,) = listener.server.server_state.connections
        assert isinstance(one, Connection)
        now = asyncio.get_running_loop().time()
        for later in (1, 30, 60):
            if more == b"drip":
                streams[1].write(b"x")
            await asyncio.sleep(0.01)
            one.look(now + later)
        assert one in listener.server.server_state.connections
        one.look(now + 70)
        await asyncio.sleep(0.01)
        assert not listener.server.server_state.connections
        streams[1].close()

    async def early(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    served(work, early if more == b"drip" else Echo(), Limits(seconds=10))


def test_a_head_after_a_long_pause_has_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(connect: Callable[[], Awaitable[Streams]], listener: Listener) -> None:
        streams = await connect()
        monkeypatch.setattr(listener.server, "look", lambda: None)
        streams[1].write(HEAD + b"abc")
        await answer(streams)
        (one,) = listener.server.server_state.connections
        assert isinstance(one, Connection)
        now = asyncio.get_running_loop().time()
        one.look(now + 1)
        streams[1].write(HEAD[:20])
        await asyncio.sleep(0.1)
        one.look(now + 60)
        one.look(now + 69)
        streams[1].write(HEAD[20:] + b"abc")
        assert (await answer(streams))[1] == b"abc"
        streams[1].close()

    served(work, Echo(), Limits(seconds=10))


def refusing(timeout_s: float = 60.0) -> Application:
    """Admits nobody; bodies may have 1 MiB."""
    release = replace(RELEASE, timeout_s=timeout_s, max_body_mib=1.0)

    async def handle(asked: Asked) -> Reply:
        raise AssertionError

    def nobody(deadline: float) -> None:
        raise Refusal("later", status=503, kind="overloaded", retry_after_s=7)

    return Application([Route(method="POST", path="/v2", protocol="p", handle=handle)], release, Figures([]), nobody)


@pytest.mark.parametrize(("path", "status"), [(b"/v2", b"503"), (b"/nowhere", b"404")])
def test_a_refusal_waits_for_the_rest_of_a_body(path: bytes, status: bytes) -> None:
    async def work(connect: Callable[[], Awaitable[Streams]], listener: Listener) -> None:
        streams = await connect()
        for framing, pieces in (
            (b"content-length: 900000", [b"x" * 300_000] * 3),
            (b"transfer-encoding: chunked", [b"3\r\nabc\r\n", b"0\r\n\r\n"]),
            (b"content-length: 0", []),
            (b"x: no-body", []),
        ):
            streams[1].write(b"POST %s HTTP/1.1\r\nhost: x\r\n%s\r\n\r\n" % (path, framing))
            asked = asyncio.create_task(answer(streams))
            for piece in pieces:
                await asyncio.sleep(0.05)
                assert not asked.done()
                streams[1].write(piece)
            assert (await asked)[0].split()[1] == status
        streams[1].close()

    served(work, refusing(), Limits())


@pytest.mark.parametrize("path", [b"/v2", b"/nowhere"])
@pytest.mark.parametrize("length", [2_000_000, 900_000], ids=["too large", "too slow"])
def test_a_refusal_closes_the_connection_of_a_body_that_is_too_much(path: bytes, length: int) -> None:
    async def work(connect: Callable[[], Awaitable[Streams]], listener: Listener) -> None:
        reader, writer = await connect()
        writer.write(b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (path, length))
        writer.write(b"x" * (length // 2))
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        assert b"connection: close" in head
        if length == 2_000_000:
            writer.write(b"x" * (length // 2))
            await writer.drain()
        assert (await asyncio.wait_for(reader.read(), 20)).startswith(b'{"error":')
        writer.close()

    served(work, refusing(60.0 if length == 2_000_000 else 0.5), Limits())
