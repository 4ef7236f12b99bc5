"""What stands in front of a right service and spoils it with one fault at a time, over REST and over gRPC."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TRACE = 'Traceback (most recent call last):\n  File "serve.py", line 3, in infer\nKeyError: 7\n'


@dataclass
class Exchange:
    """One request and, once it was asked on, its reply; a fault may change both. `beside` is how many others are under way,
    `before` how often the same body came, `agent` who sends it."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str]
    beside: int
    before: int
    agent: str
    status: int = 0
    reply: bytes = b""

    @property
    def infers(self) -> bool:
        return self.method == "POST" and self.path.endswith("/infer")

    @property
    def rows(self) -> int:
        """Of a request in JSON; 0 for another."""
        try:
            return int(json.loads(self.body)["inputs"][0]["shape"][0])
        except (ValueError, LookupError, TypeError):
            return 0

    def change(self, change: Callable[[list[Any]], list[Any]]) -> None:
        """Of a good reply in JSON the data of each output."""
        if self.infers and self.status == 200 and self.rows:
            value = json.loads(self.reply)
            for output in value["outputs"]:
                if output["name"] == "label":
                    output["data"] = change(output["data"])
            self.reply = json.dumps(value).encode()


Fault = Callable[[Exchange], None]


def right(one: Exchange) -> None:
    """No fault."""


@dataclass
class Proxy:
    """Asks `target` on. `before` sees a request, `after` its reply."""

    target: str
    before: Fault = right
    after: Fault = right
    under_way: int = 0
    seen: Counter[bytes] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.target)

    def ask(self, one: Exchange) -> httpx.Response:
        with self.lock:
            one.beside, self.under_way = self.under_way, self.under_way + 1
            one.before = self.seen[one.body]
            self.seen[one.body] += 1
        try:
            self.before(one)
            answered = self.client.request(one.method, one.path, content=one.body, headers=one.headers)
            one.status, one.reply = answered.status_code, answered.content
            self.after(one)
            return answered
        finally:
            with self.lock:
                self.under_way -= 1

    async def answer(self, request: Request) -> Response:
        kept = ("content-type", "inference-header-content-length", "cache-control")
        headers = {name: value for name, value in request.headers.items() if name in kept}
        agent = request.headers.get("user-agent", "")
        one = Exchange(request.method, request.url.path, await request.body(), headers, 0, 0, agent)
        answered = await run_in_threadpool(self.ask, one)
        back = {name: value for name, value in answered.headers.items() if name in kept}
        return Response(one.reply, one.status, back)


@contextmanager
def standing(proxy: Proxy) -> Iterator[str]:
    """Its URL."""
    app = Starlette(routes=[Route("/{path:path}", proxy.answer, methods=["GET", "POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        proxy.client.close()


Spoil = Callable[[str, bytes, grpc.ServicerContext], bytes]
"""From a method, the reply's bytes and the context to other bytes."""


class OverGrpc(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Asks `target` on."""

    def __init__(self, target: str, spoil: Spoil) -> None:
        self._channel, self._spoil = grpc.insecure_channel(target), spoil

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = details.method
        if "Reflection" in method:
            return None
        ask = self._channel.unary_unary(method)

        def handle(message: bytes, context: grpc.ServicerContext) -> bytes:
            try:
                reply = ask(message)
            except grpc.RpcError as error:
                reply = b""
                context.set_code(error.code())
                context.set_details(error.details())
            return self._spoil(method.rpartition("/")[2], reply, context)

        return grpc.unary_unary_rpc_method_handler(handle)


@contextmanager
def standing_grpc(target: str, spoil: Spoil) -> Iterator[str]:
    """Its `host:port`."""
    server = grpc.server(ThreadPoolExecutor(8), handlers=[OverGrpc(target, spoil)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
