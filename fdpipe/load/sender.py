"""The sender, a process of its own: it never shares Python's lock with what it measures, nor with what waits for it.

It reads an order on standard input and writes what came of it to standard output. Latency is counted from the intended time:
a request that finds all connections taken waits here and goes on counting (coordinated omission: Gil Tene, "How NOT to
measure latency", 2013).
"""

import asyncio
import gc
import resource
import selectors
import sys
import time
from array import array
from collections import deque

import aiohttp
import msgspec

from fdpipe.load.wire import Done, Errand, Order, Sent

NEVER = float("inf")


class Run:
    """One task under way; times are seconds from its start."""

    def __init__(self, session: aiohttp.ClientSession, task: Errand, timeout_s: float) -> None:
        self.session = session
        self.task = task
        self.timeout_s = timeout_s
        self.intended, self.turned, self.sent, self.ended = (array("d") for _ in range(4))
        self.statuses = array("i")
        self.failures: dict[str, int] = {}
        self.waited = 0
        self.under_way: set[asyncio.Task[None]] = set()
        self.backlog: deque[int] = deque()
        self.started = 0.0

    async def go(self) -> Done:
        """Send all of it and wait for the last answer."""
        before = resource.getrusage(resource.RUSAGE_SELF)
        self.started = time.perf_counter()
        if self.task.times is None:
            await asyncio.gather(*(self._caller() for _ in range(self.task.connections)))
        else:
            await self._arrivals(self.task.times)
        wall = self._now()
        after = resource.getrusage(resource.RUSAGE_SELF)
        return Done(
            intended=self.intended.tobytes(),
            turned=self.turned.tobytes(),
            sent=self.sent.tobytes(),
            ended=self.ended.tobytes(),
            statuses=self.statuses.tobytes(),
            failures=list(self.failures),
            busy_s=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            wall_s=wall,
            interrupted=after.ru_nivcsw - before.ru_nivcsw,
            waited=self.waited,
        )

    async def _caller(self) -> None:
        """One of a closed loop: asks, waits, asks again."""
        while (now := self._now()) < self.task.seconds:
            await self._ask(self._note(now))

    async def _arrivals(self, times: list[float]) -> None:
        """Requests that come at their times, whatever became of those before."""
        for when in times:
            ahead = when - self._now()
            await asyncio.sleep(max(0.0, ahead))
            number = self._note(when)
            if len(self.under_way) < self.task.connections:
                started = asyncio.create_task(self._work(number))
                self.under_way.add(started)
                started.add_done_callback(self.under_way.discard)
            else:
                self.waited += 1
                self.backlog.append(number)
        while self.under_way:
            await asyncio.wait(self.under_way)

    async def _work(self, number: int) -> None:
        """This request and then, on the connection that it leaves, those that wait for one."""
        await self._ask(number)
        while self.backlog:
            await self._ask(self.backlog.popleft())

    def _note(self, intended: float) -> int:
        self.intended.append(intended)
        self.turned.append(self._now())
        self.sent.append(NEVER)
        self.ended.append(NEVER)
        self.statuses.append(0)
        return len(self.intended) - 1

    async def _ask(self, number: int) -> None:
        """One request; its caller waits `timeout_s` from the intended time, wherever the request is by then."""
        picks = self.task.picks
        request = self.task.requests[picks[number % len(picks)]]
        self.sent[number] = now = self._now()
        left = self.intended[number] + self.timeout_s - now
        try:
            if left <= 0:
                raise TimeoutError
            limit = aiohttp.ClientTimeout(total=left)
            async with self.session.request(
                request.method, request.path, data=request.content or None, headers=request.headers, timeout=limit
            ) as response:
                await response.read()
            self.statuses[number] = response.status
        except TimeoutError:
            self._failed(number, f"no answer within {self.timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as error:
            self._failed(number, type(error).__name__)
        self.ended[number] = self._now()

    def _failed(self, number: int, kind: str) -> None:
        self.statuses[number] = -1 - self.failures.setdefault(kind, len(self.failures))

    def _now(self) -> float:
        return time.perf_counter() - self.started


async def send(order: Order) -> Sent:
    """All tasks, one after the other, on connections that are kept; none after a first that nobody answered."""
    most = max(task.connections for task in order.tasks)
    session = aiohttp.ClientSession(
        order.host,
        connector=aiohttp.TCPConnector(limit=most, keepalive_timeout=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )
    done: list[Done] = []
    async with session:
        for task in order.tasks:
            run = Run(session, task, order.timeout_s)
            done.append(await run.go())
            if len(done) == 1 and max(run.statuses, default=0) <= 0:
                break
    return Sent(tasks=done)


def main() -> None:
    """Read, send, tell. epoll would round each wait up to a millisecond; select(2) does not."""
    order = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Order)
    gc.freeze()
    gc.set_threshold(100_000)
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    try:
        sent = loop.run_until_complete(send(order))
    finally:
        loop.close()
    sys.stdout.buffer.write(msgspec.msgpack.encode(sent))


if __name__ == "__main__":
    main()
