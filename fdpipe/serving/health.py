"""gRPC's standard health service (grpc.health.v1): serving, until the service ends."""

import asyncio
from collections.abc import Collection

import grpc
from grpc_health.v1 import health_pb2

from fdpipe.serving.refusal import Refusal
from fdpipe.serving.statuses import refuse

_Response = health_pb2.HealthCheckResponse


class Health:
    """Its methods, named as the service has them. `names` are those that can be asked for, an empty one for the whole."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._ending = asyncio.Event()

    def end(self) -> None:
        """From now on nothing is serving; those who watch are told, and their calls end."""
        self._ending.set()

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        """The state now; NOT_FOUND for a name that is not known."""
        if request.service not in self._names:
            known = ", ".join(repr(name) for name in self._names)
            await refuse(context, Refusal(f"there is no {request.service[:100]!r} here, but {known}", status=404), ())
        return _Response(status=self._state(request.service))

    async def List(
        self, request: health_pb2.HealthListRequest, context: grpc.aio.ServicerContext
    ) -> health_pb2.HealthListResponse:
        """The state of each name."""
        return health_pb2.HealthListResponse(statuses={name: _Response(status=self._state(name)) for name in self._names})

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext) -> None:
        """The state now, and once more when it changes."""
        await context.write(_Response(status=self._state(request.service)))
        if not self._ending.is_set():
            await self._ending.wait()
            await context.write(_Response(status=self._state(request.service)))

    def _state(self, name: str) -> int:
        if name not in self._names:
            return _Response.SERVICE_UNKNOWN  # type: ignore[no-any-return]
        return _Response.NOT_SERVING if self._ending.is_set() else _Response.SERVING  # type: ignore[no-any-return]
