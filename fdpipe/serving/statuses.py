"""How a refusal is told over gRPC: the status that means the same as HTTP's, one line, and when to ask again."""

from collections.abc import Callable
from typing import NoReturn

import grpc

from fdpipe.serving.refusal import Refusal

Metadata = tuple[tuple[str, str | bytes], ...]
"""Names in lower case."""

STATUSES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    499: grpc.StatusCode.CANCELLED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""HTTP's statuses → gRPC's; what is not here is an INTERNAL one."""

Vet = Callable[[Metadata], None]
"""Lets a request with this metadata through, or raises `Refusal`."""

RETRY_AFTER, PUSHBACK = "retry-after", "grpc-retry-pushback-ms"
"""Seconds, for people; milliseconds, for clients that repeat requests by themselves (gRFC A6)."""


async def refuse(context: grpc.aio.ServicerContext, refusal: Refusal, metadata: Metadata) -> NoReturn:
    """End the request, with `metadata` beside the refusal."""
    status = STATUSES.get(refusal.status, grpc.StatusCode.INTERNAL)
    after_s = refusal.retry_after_s
    if after_s is not None:
        metadata = (*metadata, (RETRY_AFTER, str(max(1, round(after_s)))), (PUSHBACK, str(round(1000 * after_s))))
    await context.abort(status, str(refusal), metadata)
    raise AssertionError("abort raises")
