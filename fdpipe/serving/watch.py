"""Looks after requests that take long: bodies that are not there in time, callers who have gone.

One look for all of them a few times a second, so that a request which is answered at once costs no timer and no task.
"""

import asyncio
import time

from starlette.types import Receive

from fdpipe.serving.call import Call
from fdpipe.serving.refusal import Refusal

EVERY_S = 0.1


class Watch:
    """Used on the event loop only. It ends a request by a refusal in its `call.cut` and the cancellation of its task."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._under_way: dict[Call, tuple[asyncio.Task[None], Receive]] = {}
        self._listeners: dict[Call, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, call: Call, receive: Receive) -> None:
        """The task that runs now answers this call."""
        task = asyncio.current_task()
        assert task is not None
        self._under_way[call] = task, receive
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._look)

    def end(self, call: Call) -> None:
        """It has been answered."""
        del self._under_way[call]
        if self._listeners and (listener := self._listeners.pop(call, None)):
            listener.cancel()

    def _look(self) -> None:
        """At the oldest, up to the first that is young."""
        loop = asyncio.get_running_loop()
        now = time.perf_counter()
        for call, (task, receive) in self._under_way.items():
            age_s = now - call.started
            if age_s < EVERY_S:
                break
            if not call.is_read:
                if age_s > self._timeout_s:
                    text = f"the body was not there within {self._timeout_s:g} s"
                    _cut(call, task, Refusal(text, status=408, kind="timeout"))
            elif call not in self._listeners:
                self._listeners[call] = loop.create_task(_listen(call, task, receive))
        self._timer = loop.call_later(EVERY_S, self._look) if self._under_way else None


async def _listen(call: Call, task: "asyncio.Task[None]", receive: Receive) -> None:
    """All that may still come from a caller whose body was read is that the connection has ended."""
    while (await receive())["type"] != "http.disconnect":
        pass
    _cut(call, task, Refusal("the caller has gone", status=499, kind="disconnected"))


def _cut(call: Call, task: "asyncio.Task[None]", refusal: Refusal) -> None:
    if call.cut is None:
        call.cut = refusal
        task.cancel()
