"""The third port: a gRPC server in the process and on the event loop of a server that runs already.

Beside the protocol's methods it has gRPC's standard health service and server reflection, which show what there is to load
balancers and to tools such as grpcurl.
"""

import errno
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from fdpipe import open_inference
from fdpipe.artifacts import Manifest
from fdpipe.serving.health import Health
from fdpipe.serving.oip_grpc import Methods, message, message_or_end
from fdpipe.serving.refusal import Refusal
from fdpipe.serving.statuses import refuse

_IDENTITY_ONLY = 1
"""gRPC's set of compression algorithms as bits: a message that unpacks to more than its limit cannot be sent."""

_MOST_AT_ONCE = 256
"""Requests under way on one connection; clients keep the others back."""

_PING_AT_MOST_EVERY_MS = 10_000
_PING_AFTER_MS = 60_000
_PONG_WITHIN_MS = 20_000
"""A connection on which nothing has come for so long is asked whether it is alive, so that a lost caller holds nothing."""


_NICER_BY = 10
"""gRPC's own threads give way to the event loop: on a busy core they would interrupt it seven times for each request."""


class GrpcListener:
    """The port, from `start` to `stop`. Several workers may listen on it, and the kernel hands each its connections."""

    def __init__(self, methods: Methods, release: Manifest) -> None:
        self._methods = methods
        self._max_bytes, self._drain_s = int(release.max_body_mib * 2**20), release.timeout_s
        self._health = Health(("", open_inference.SERVICE, release.model.name))
        self._server: grpc.aio.Server | None = None

    async def start(self, host: str, port: int, credentials: grpc.ServerCredentials | None = None) -> None:
        """Listen, in clear text where there are no credentials; `OSError` where the port is taken."""
        before = _threads()
        server = grpc.aio.server(options=self._options())
        server.add_generic_rpc_handlers((self._methods, *_standard(self._health, self._drain_s)))
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if credentials is None:
                server.add_insecure_port(address)
            else:
                server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise OSError(errno.EADDRINUSE, f"address already in use: {address} for gRPC") from error
        await server.start()
        self._server = server
        _give_way(_threads() - before)

    async def stop(self) -> None:
        """Tell the health service's watchers, let the requests under way end, then close."""
        if self._server is not None:
            self._health.end()
            await self._server.stop(self._drain_s)
            self._server = None

    def _options(self) -> list[tuple[str, int]]:
        return [
            ("grpc.so_reuseport", 1),
            ("grpc.max_receive_message_length", self._max_bytes),
            ("grpc.max_concurrent_streams", _MOST_AT_ONCE),
            ("grpc.compression_enabled_algorithms_bitset", _IDENTITY_ONLY),
            ("grpc.http2.min_ping_interval_without_data_ms", _PING_AT_MOST_EVERY_MS),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.keepalive_time_ms", _PING_AFTER_MS),
            ("grpc.keepalive_timeout_ms", _PONG_WITHIN_MS),
        ]


class _Collected:
    """Stands for a server where generated code registers a service. The real one would wait for each registered method by
    itself, at a cost to every request."""

    def __init__(self) -> None:
        self.handlers: list[Any] = []

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        self.handlers += handlers

    def add_registered_method_handlers(self, service: str, handlers: object) -> None:
        """The same handlers again, by their names."""


def _threads() -> set[int]:
    """This process's, by the kernel's numbers; none where the kernel does not tell."""
    folder = Path("/proc/self/task")
    return {int(thread.name) for thread in folder.iterdir()} if folder.exists() else set()


def _give_way(threads: Iterable[int]) -> None:
    niceness = min(19, os.getpriority(os.PRIO_PROCESS, 0) + _NICER_BY)
    for thread in threads:
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, thread, niceness)


class _InTime:
    """A service of generated code whose callers' messages must come in so many seconds: gRPC itself would wait for ever."""

    def __init__(self, handlers: Any, seconds: float) -> None:  # noqa: ANN401 - grpc has no types
        self._handlers, self._seconds = handlers, seconds

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """The handler, which reads for itself."""
        found = self._handlers.service(details)
        if found is None:
            return None
        forms = (found.request_deserializer, found.response_serializer)
        if found.stream_stream:
            return grpc.stream_stream_rpc_method_handler(self._of_many(found.stream_stream), *forms)
        if found.unary_stream:
            return grpc.stream_stream_rpc_method_handler(self._of_one(found.unary_stream), *forms)
        return grpc.stream_unary_rpc_method_handler(self._of_one(found.unary_unary), *forms)

    def _of_one(self, work: Any) -> Any:  # noqa: ANN401 - as above
        async def handle(requests: object, context: grpc.aio.ServicerContext) -> Any:  # noqa: ANN401 - as above
            try:
                request = await message(context, self._seconds)
            except Refusal as refusal:
                await refuse(context, refusal, ())
            return await work(request, context)

        return handle

    def _of_many(self, work: Any) -> Any:  # noqa: ANN401 - as above
        async def each(context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            try:
                while (request := await message_or_end(context, self._seconds)) is not grpc.aio.EOF:
                    yield request
            except Refusal as refusal:
                await refuse(context, refusal, ())

        async def handle(requests: object, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            async for reply in work(each(context), context):
                yield reply

        return handle


def _standard(health: Health, seconds: float) -> list[Any]:
    """The handlers of the two standard services. Reflection shows our own messages, which are in a pool of their own."""
    for file in (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
        open_inference.POOL.AddSerializedFile(file.serialized_pb)
    names = (open_inference.SERVICE, *(file.services_by_name[name].full_name for file, name in _SERVICES))
    collected = _Collected()
    health_pb2_grpc.add_HealthServicer_to_server(health, collected)
    servicer = reflection.aio.ReflectionServicer(names, pool=open_inference.POOL)
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, collected)
    return [_InTime(one, seconds) for one in collected.handlers]


_SERVICES = ((health_pb2.DESCRIPTOR, "Health"), (reflection_pb2.DESCRIPTOR, "ServerReflection"))
