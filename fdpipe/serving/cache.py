"""Answers that are kept: what was asked before is not computed again, and what is asked twice at once is computed once.

An answer is found by the release's digest and the exact input. A release of which answers are kept must be deterministic, which
is for whoever switches that on to know.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
from cachetools import LRUCache

from fdpipe.arrays import Batch
from fdpipe.serving.call import Call, Prediction
from fdpipe.serving.refusal import Refusal
from fdpipe.serving.shared import Shared

Compute = Callable[[Batch, float], Awaitable[Prediction]]
"""From records and a deadline, of `time.monotonic`."""

HIT, MISS, JOINED = "hit", "miss", "joined"
"""It was kept; it was computed; it was being computed for another caller already."""

OVERHEAD_BYTES = 1024
"""Of an entry, beside its numbers: the key and the objects."""

_LARGE_BYTES = 2**20
"""More than this is hashed in a thread."""

_OF_THE_FIRST = ("timeout", "overloaded")
"""Refusals that say something of the first caller's deadline only."""


@dataclass(slots=True, eq=False)
class _Flight:
    """What is being computed, until whose deadline, and how many wait for it."""

    key: bytes
    task: "asyncio.Task[tuple[Prediction, str]]"
    deadline: float
    callers: int = 0


class Cache:
    """Keeps `mib` of the answers that `compute` gives, the least recently used go first; `shared`, where there is one, has
    those of other processes. Used on the event loop of one worker."""

    def __init__(self, compute: Compute, release: str, mib: float, shared: Shared | None = None) -> None:
        self._compute, self._release, self._shared = compute, release.encode(), shared
        self._kept: LRUCache[bytes, dict[str, np.ndarray]] = LRUCache(mib * 2**20, getsizeof=size_bytes)
        self._flights: dict[bytes, _Flight] = {}

    async def predict(self, records: Batch, call: Call) -> Prediction:
        """The answers, and in the call how they were found; a call that asks for fresh ones leaves nothing behind either. What
        was found had no tensors made for it. `Refusal` as `compute` says, and past the call's deadline."""
        key = None if call.fresh else await self._key(records)
        if key is None:
            return await self._compute(records, call.deadline)
        if (kept := self._kept.get(key)) is not None:
            call.cache = HIT
            return Prediction(records=records, tensors={}, answers=kept)
        while (flight := self._flights.get(key)) is not None:
            try:
                found, _ = await self._arrived(flight, call.deadline)
            except Refusal as refusal:
                if refusal.kind in _OF_THE_FIRST and flight.deadline < call.deadline and time.monotonic() < call.deadline:
                    continue
                raise
            call.cache = JOINED
            return Prediction(records=records, tensors={}, answers=found.answers)
        flight = _Flight(key, asyncio.create_task(self._fly(key, records, call.deadline)), call.deadline)
        flight.task.add_done_callback(_heard)
        self._flights[key] = flight
        found, call.cache = await self._arrived(flight, None)
        return found

    async def _key(self, records: Batch) -> bytes | None:
        if sum(array.nbytes for array in records.values()) > _LARGE_BYTES:
            return await asyncio.to_thread(key_of, self._release, records)
        return key_of(self._release, records)

    async def _fly(self, key: bytes, records: Batch, deadline: float) -> tuple[Prediction, str]:
        if self._shared is not None and (found := await self._shared.get(key)) is not None:
            self._keep(key, found)
            return Prediction(records=records, tensors={}, answers=dict(found)), HIT
        prediction = await self._compute(records, deadline)
        self._keep(key, prediction.answers)
        if self._shared is not None:
            self._shared.put(key, prediction.answers)
        return prediction, MISS

    async def _arrived(self, flight: _Flight, deadline: float | None) -> tuple[Prediction, str]:
        """Wait for it. Who is the last to leave ends it, and nobody joins it after that."""
        flight.callers += 1
        try:
            seconds = None if deadline is None else max(0.0, deadline - time.monotonic())
            return await asyncio.wait_for(asyncio.shield(flight.task), seconds)
        except TimeoutError as error:
            raise Refusal("there was no answer in time", status=504, kind="timeout") from error
        finally:
            flight.callers -= 1
            if not flight.callers or flight.task.done():
                flight.task.cancel()
                if self._flights.get(flight.key) is flight:
                    del self._flights[flight.key]

    def _keep(self, key: bytes, answers: Batch) -> None:
        """A copy, which nobody can change: the answers may be rows of a larger batch. What is too large is not kept."""
        own = {name: np.array(array) for name, array in answers.items()}
        for array in own.values():
            array.setflags(write=False)
        if size_bytes(own) <= self._kept.maxsize:
            self._kept[key] = own


def key_of(release: bytes, records: Batch) -> bytes | None:
    """SHA-256 of the release and of every input's name, dtype, shape and bytes, whatever their order; None for strings that
    have no bytes."""
    found = hashlib.sha256(release)
    for name in sorted(records):
        array = records[name]
        found.update(msgspec.msgpack.encode((name, array.dtype.str, array.shape)))
        try:
            found.update(_bytes(array))
        except (UnicodeEncodeError, TypeError, OverflowError):
            return None
    return found.digest()


def size_bytes(answers: Mapping[str, np.ndarray]) -> int:
    """What an entry takes, about."""
    return OVERHEAD_BYTES + sum(array.nbytes + _texts_bytes(array) for array in answers.values())


def _bytes(array: np.ndarray) -> bytes | memoryview:
    if array.dtype.kind == "O":
        return msgspec.msgpack.encode(array.ravel().tolist())
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _texts_bytes(array: np.ndarray) -> int:
    return sum(64 + 4 * len(one) for one in array.flat if isinstance(one, str | bytes)) if array.dtype.kind == "O" else 0


def _heard(task: "asyncio.Task[tuple[Prediction, str]]") -> None:
    """Nobody may be there any more to be told of a refusal."""
    if not task.cancelled():
        task.exception()
