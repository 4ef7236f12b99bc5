"""Answers shared by processes, in Redis. It is never needed: where it fails or is slow, the model answers."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import numpy as np

from fdpipe.arrays import Batch
from fdpipe.serving.breaker import Breaker

URL = "FDPIPE_SERVICE_CACHE_URL"
"""The environment's variable with `redis://…`, `rediss://…` (TLS) or `unix://…`."""

NAME = "cache"
KEPT_S = 86_400
"""So long an answer stays; how many there are is bounded by Redis's own `maxmemory`."""

TIMEOUT_S = 0.1
"""For each step: to connect, to send, to hear."""

FAILURES, PAUSE_S = 3, 5.0
"""So many failures in a row, and Redis is left alone for so long."""

MOST_AT_ONCE = 32
"""Connections; a request that would need one more does without."""

_LARGEST_BYTES = 2**23
_PREFIX = b"fdpipe:1:"
_SHARED_KINDS = "biufUO"

T = TypeVar("T")


class Shared:
    """Redis at `url`, `ValueError` for what is none. `told` hears whether the circuit breaker is open, as it is for `pause_s`
    once it opened."""

    def __init__(self, url: str, told: Callable[[bool], None], pause_s: float = PAUSE_S) -> None:
        import redis.asyncio as redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError

        self._breaker = Breaker(NAME, failures=FAILURES, seconds=pause_s, told=told)
        self._failures = (RedisError, OSError, TimeoutError)
        self._under_way = 0
        self._puts: set[asyncio.Task[object]] = set()
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),  # its own default asks three times more
            decode_responses=False,
        )

    async def get(self, key: bytes) -> Batch | None:
        """The answers; None where there are none, or none can be had now."""
        found = await self._asked(lambda: self._redis.get(_PREFIX + key))
        return unpacked(found) if isinstance(found, bytes) else None

    def put(self, key: bytes, answers: Batch) -> None:
        """Share them, without anybody waiting for it."""
        if len(self._puts) < MOST_AT_ONCE and (packed := packed_of(answers)) is not None:
            task = asyncio.create_task(self._asked(lambda: self._redis.set(_PREFIX + key, packed, ex=KEPT_S)))
            self._puts.add(task)
            task.add_done_callback(self._puts.discard)

    async def close(self) -> None:
        """Let go of the connections."""
        if self._puts:
            await asyncio.wait(set(self._puts))
        await self._redis.aclose()

    async def _asked(self, work: Callable[[], Awaitable[T]]) -> T | None:
        if self._under_way >= MOST_AT_ONCE:
            return None
        self._under_way += 1
        try:
            return await self._breaker.call(work, self._failures)
        finally:
            self._under_way -= 1


def from_environment(told: Callable[[bool], None]) -> Shared | None:
    """What the environment names, if anything; ends the process with one line for a URL that is none. It may have a password,
    and so is not shown."""
    if not (url := os.environ.get(URL)):
        return None
    try:
        return Shared(url, told)
    except ValueError as error:
        raise SystemExit(f"fdpipe: {URL} is no redis://, rediss:// or unix:// address: set it to one, or unset it") from error


def packed_of(answers: Batch) -> bytes | None:
    """The answers as MessagePack; None for what is too large, and for dtypes without a name of their own."""
    if any(array.dtype.kind not in _SHARED_KINDS for array in answers.values()):
        return None
    try:
        packed = msgspec.msgpack.encode([(name, array.dtype.str, array.shape, _data(array)) for name, array in answers.items()])
    except (UnicodeEncodeError, TypeError, OverflowError):
        return None
    return packed if len(packed) <= _LARGEST_BYTES else None


def unpacked(packed: bytes) -> Batch | None:
    """The answers again; None for anything that `packed_of` does not write. Nothing in it is ever run."""
    try:
        found = msgspec.msgpack.decode(packed, type=list[tuple[str, str, tuple[int, ...], bytes | list[str]]])
        return {name: _array(dtype, shape, data) for name, dtype, shape, data in found}
    except (msgspec.MsgspecError, ValueError, TypeError):
        return None


def _data(array: np.ndarray) -> Any:  # noqa: ANN401 - bytes, or a list of strings
    return array.ravel().tolist() if array.dtype.kind == "O" else array.tobytes()


def _array(dtype: str, shape: tuple[int, ...], data: bytes | list[str]) -> np.ndarray:
    if isinstance(data, list):
        return np.array(data, dtype=object).reshape(shape)
    kind = np.dtype(dtype)
    if kind.kind not in _SHARED_KINDS or kind.kind == "O":
        raise ValueError(dtype)
    return np.frombuffer(data, kind).reshape(shape)
