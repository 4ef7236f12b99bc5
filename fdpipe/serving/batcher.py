"""Requests that wait together are computed together: never past what the model's own cost allows, nor past a deadline.

While as many calls of the model are under way as may be, requests gather; the next call takes all that fit. Where one could
be made at once, they wait for others only as long as that pays (`Pace.patience_ms`). A call that is sure to be short is made on
the event loop itself, once everything that has arrived by then is read: a thread would take longer to start.
"""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from fdpipe.arrays import Batch, rows_in
from fdpipe.artifacts import Traffic
from fdpipe.serving.call import Prediction
from fdpipe.serving.joining import Compute, Found, computed
from fdpipe.serving.pace import Pace
from fdpipe.serving.refusal import Refusal
from fdpipe.serving.waiting import Line, Waiting

INLINE_MS = 0.3
"""What is expected to take less is computed on the event loop."""

FINEST_MS = 1.0
"""The event loop counts time in such steps: it cannot wait less."""

NEWEST = 0.1
"""How much the newest gap between two requests weighs in the mean."""


SPARE = 0.1
"""This share of the time that a request has is left for what nobody foresees, before it is let in behind others."""


@dataclass(slots=True, eq=False)
class _UnderWay:
    batch: Sequence[Waiting]
    ends: float


class Batcher:
    """Calls `compute`, which raises `Refusal` for records that it does not take, with the records of one request or of several;
    with one only where requests are not `batchable`. Used on the event loop of one worker."""

    def __init__(self, compute: Compute, traffic: Traffic, *, batchable: bool) -> None:
        self._compute, self._traffic = compute, traffic
        self._pace = Pace(traffic.cost)
        self._line = Line(traffic.max_batch, batchable=batchable)
        self._may_wait = batchable and traffic.max_batch > 1 and traffic.max_wait_ms > 0
        self._gap_ms = float("inf")
        self._newest: float | None = None
        self._under_way: list[_UnderWay] = []
        self._is_scheduled = False
        self._patience: asyncio.TimerHandle | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = float("inf")
        self._threads = ThreadPoolExecutor(traffic.runs, thread_name_prefix="fdpipe-model")

    def admit(self, deadline: float, rows: int = 1) -> None:
        """`Refusal` where too many wait, or where so many rows would not be answered by the deadline, of `time.monotonic`."""
        line, now = self._line, time.monotonic()
        if line.requests >= self._traffic.max_waiting:
            raise _overloaded(f"{line.requests} requests are waiting, which is the most", self._wait_s(now))
        if not self._under_way and now + self._pace.ms(line.rows + rows, line.calls + 1) / 1e3 <= deadline:
            return
        if not line.requests and not self._under_way:
            needed_s = self._pace.least_ms(rows) / 1e3 if self._pace.is_known else 0.0
            if now + needed_s > deadline:
                raise _overloaded(f"{rows} rows take the model {needed_s:.3g} s, {_left(deadline - now)}", needed_s)
            return
        wait_s = self._wait_s(now)
        if now + (wait_s + self._pace.ms(rows) / 1e3) / (1 - SPARE) > deadline:
            raise _overloaded(f"the requests before this one take {wait_s:.3g} s, {_left(deadline - now)}", wait_s)

    async def predict(self, records: Batch, deadline: float) -> Prediction:
        """What `compute` makes of these records; `Refusal` where they are not admitted, or were not computed in time."""
        rows = rows_in(records)
        self.admit(deadline, rows)
        now = time.monotonic()
        loop = asyncio.get_running_loop()
        one = Waiting(records, rows, _kind(records), now, deadline, loop.create_future())
        self._line.add(one)
        if self._may_wait:
            self._note_arrival(now)
        if len(self._under_way) >= self._traffic.runs:
            self._set_alarm(loop, deadline)
        elif not self._is_scheduled:
            self._schedule(loop)
        try:
            return await one.future
        finally:
            if one.stands:
                self._line.remove(one)

    def close(self) -> None:
        """Refuse what still waits, let what is under way end."""
        while self._line.requests:
            _tell_all(self._line.take(), Refusal("the service is ending", status=503, kind="not_ready"))
        self._threads.shutdown(wait=True)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look after all that is ready on the event loop has run: more requests may be among it."""
        self._is_scheduled = True
        loop.call_soon(self._start)

    def _start(self) -> None:
        """Compute what waits, as much as may be under way; on the event loop one call, and then whatever else is ready."""
        self._is_scheduled = False
        loop = asyncio.get_running_loop()
        now = time.monotonic()
        self._expire(now)
        self._give_up(now)
        while self._line.requests and len(self._under_way) < self._traffic.runs:
            if self._may_wait and self._waits(loop, now):
                break
            batch = self._line.take()
            expected_ms = self._pace.ms(sum(one.rows for one in batch))
            if expected_ms < INLINE_MS:
                _tell(batch, computed(self._timed, batch))
                if self._line.requests:
                    self._schedule(loop)
                break
            run = _UnderWay(batch, now + expected_ms / 1e3)
            self._under_way.append(run)
            loop.run_in_executor(self._threads, computed, self._timed, batch).add_done_callback(partial(self._ended, run))
        self._set_alarm(loop, self._earliest())

    def _ended(self, run: _UnderWay, done: "asyncio.Future[list[Found]]") -> None:
        self._under_way.remove(run)
        _tell(run.batch, done.result())
        if self._line.requests and not self._is_scheduled:
            self._schedule(done.get_loop())

    def _timed(self, records: Batch) -> Prediction:
        started = time.perf_counter()
        found = self._compute(records)
        self._pace.note(rows_in(records), 1000 * (time.perf_counter() - started))
        return found

    def _wait_s(self, now: float) -> float:
        """Until all that waits has been computed."""
        waiting_s = self._pace.ms(self._line.rows, self._line.calls) / 1e3
        under_way_s = sum(max(0.0, run.ends - now) for run in self._under_way)
        return (waiting_s + under_way_s) / self._traffic.runs

    def _note_arrival(self, now: float) -> None:
        """A gap in which two calls could have been made says no more than that: it is soon forgotten."""
        if self._newest is not None:
            gap_ms = min(1e3 * (now - self._newest), 2 * self._pace.ms(1))
            self._gap_ms = gap_ms if self._gap_ms == float("inf") else self._gap_ms + NEWEST * (gap_ms - self._gap_ms)
        self._newest = now

    def _waits(self, loop: asyncio.AbstractEventLoop, now: float) -> bool:
        """Whether the first waits for others: they are expected so soon that it pays, and it has not waited long enough."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        first = self._line.first()
        requests, rows = self._line.beside(first)
        patience_ms = self._pace.patience_ms(requests, rows)
        if rows >= self._traffic.max_batch or patience_ms <= self._gap_ms:
            return False
        longest = min(first.arrived + self._traffic.max_wait_ms / 1e3, first.deadline - 2 * self._pace.ms(rows) / 1e3)
        until = min((self._newest or now) + patience_ms / 1e3, longest)
        if 1e3 * (until - now) < FINEST_MS:
            return False
        self._patience = loop.call_later(until - now, self._start)
        return True

    def _earliest(self) -> float:
        """Deadline, of those that wait and of those under way."""
        ahead = [one.deadline for run in self._under_way for one in run.batch if not one.future.done()]
        if self._line.requests:
            ahead.append(self._line.first().deadline)
        return min(ahead, default=float("inf"))

    def _set_alarm(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        """One for all: nobody waits past a deadline, whatever the model does."""
        if at >= self._alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = loop.call_later(max(0.0, at - time.monotonic()) + FINEST_MS / 1e3, self._ring)

    def _ring(self) -> None:
        self._alarm, self._alarm_at = None, float("inf")
        self._expire(time.monotonic())
        self._set_alarm(asyncio.get_running_loop(), self._earliest())

    def _give_up(self, now: float) -> None:
        """What would not be done in time is not begun: under overload the model would compute it for nobody. Of one that is
        alone this is not asked: it only seems so long as nothing newer is known of the pace."""
        if self._line.requests > 1 or (self._line.requests and self._under_way):
            late = self._line.take_late(now + self._pace.ms(1) / 1e3)
            if late:
                _tell_all(late, _overloaded("the requests before this one took longer than expected", self._wait_s(now)))

    def _expire(self, now: float) -> None:
        late = self._line.take_late(now)
        late += [one for run in self._under_way for one in run.batch if one.deadline <= now]
        if late:
            _tell_all(late, Refusal("there was no answer in time", status=504, kind="timeout"))


def _kind(records: Batch) -> object:
    """Requests of one kind can be joined: they have the same inputs, of shapes that differ in the rows only."""
    return tuple([(name, array.dtype, array.shape[1:]) for name, array in records.items()])


def _left(seconds: float) -> str:
    return f"and {max(0.0, seconds):.3g} s are left"


def _overloaded(text: str, wait_s: float) -> Refusal:
    return Refusal(f"{text}: ask again later", status=503, kind="overloaded", retry_after_s=wait_s)


def _tell(batch: Sequence[Waiting], found: Sequence[Found]) -> None:
    """Nobody may be waiting any more: the caller has gone, or time was up."""
    for one, part in zip(batch, found, strict=True):
        if one.future.done():
            continue
        if isinstance(part, Exception):
            one.future.set_exception(part)
        else:
            one.future.set_result(part)


def _tell_all(batch: Sequence[Waiting], refusal: Refusal) -> None:
    _tell(batch, [refusal] * len(batch))
