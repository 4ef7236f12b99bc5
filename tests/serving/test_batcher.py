"""Requests that wait together are computed together, and each gets its own."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdpipe.arrays import Batch
from fdpipe.artifacts import Cost, Traffic
from fdpipe.serving.batcher import Batcher
from fdpipe.serving.call import Prediction
from fdpipe.serving.joining import Compute
from fdpipe.serving.refusal import Refusal

QUICK = Cost(call_ms=0.001, row_ms=0.0)
SLOW = Cost(call_ms=10.0, row_ms=0.0)


@dataclass
class Doubles:
    """Answers twice what it is asked, notes the sizes of its calls and where they were made; it takes no 13."""

    calls: list[int] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)
    gate: threading.Event | None = None

    def open(self) -> None:
        """Let all calls end, those that come, too."""
        assert self.gate is not None
        self.gate.set()

    def __call__(self, records: Batch) -> Prediction:
        self.calls.append(len(records["x"]))
        self.threads.add(threading.current_thread().name)
        if self.gate is not None:
            self.gate.wait(5)
        if 13 in records["x"]:
            raise Refusal("13 is not taken")
        return Prediction(records=records, tensors=records, answers={"y": 2 * records["x"]})


def asked(*values: float) -> Batch:
    return {"x": np.array(values, np.float32)}


def run(compute: Compute, traffic: Traffic, work: Callable[[Batcher], Awaitable[object]], *, batchable: bool = True) -> object:
    async def inside() -> object:
        batcher = Batcher(compute, traffic, batchable=batchable)
        try:
            return await work(batcher)
        finally:
            batcher.close()

    return asyncio.run(inside())


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.001)


async def ask(batcher: Batcher, *values: float, within_s: float = 5.0) -> list[float]:
    found = await batcher.predict(asked(*values), time.monotonic() + within_s)
    return [float(one) for one in found.answers["y"]]


@pytest.mark.parametrize("cost", [QUICK, SLOW])
def test_together_and_each_its_own(cost: Cost) -> None:
    compute = Doubles()

    async def work(batcher: Batcher) -> object:
        return await asyncio.gather(*(ask(batcher, *range(one, one + 1 + one % 3)) for one in range(10)))

    found = run(compute, Traffic(max_batch=64, cost=cost), work)
    assert found == [[2.0 * value for value in range(one, one + 1 + one % 3)] for one in range(10)]
    assert compute.calls == [19]


def test_a_short_call_is_made_on_the_event_loop_and_a_long_one_is_not() -> None:
    for cost, inside in ((QUICK, True), (SLOW, False)):
        compute = Doubles()
        run(compute, Traffic(max_batch=8, cost=cost), lambda batcher: ask(batcher, 1))
        assert (threading.current_thread().name in compute.threads) is inside


def test_no_more_rows_than_the_most() -> None:
    compute = Doubles()

    async def work(batcher: Batcher) -> object:
        return await asyncio.gather(*(ask(batcher, 1, 2, 3) for _ in range(5)), ask(batcher, *[1] * 20))

    run(compute, Traffic(max_batch=7, cost=QUICK), work)
    assert compute.calls == [6, 6, 3, 20]


def test_what_is_not_batchable_is_alone() -> None:
    compute = Doubles()

    async def work(batcher: Batcher) -> object:
        return await asyncio.gather(*(ask(batcher, one) for one in range(4)))

    run(compute, Traffic(max_batch=8, cost=QUICK), work, batchable=False)
    assert compute.calls == [1, 1, 1, 1]


def test_one_that_is_refused_does_not_spoil_the_others() -> None:
    async def work(batcher: Batcher) -> object:
        return await asyncio.gather(*(ask(batcher, one) for one in (1, 13, 3)), return_exceptions=True)

    found = run(Doubles(), Traffic(max_batch=8, cost=QUICK), work)
    assert isinstance(found, list)
    first, refused, last = found
    assert (first, last) == ([2.0], [6.0])
    assert isinstance(refused, Refusal)


def test_too_many_waiting_and_too_late() -> None:
    compute = Doubles(gate=threading.Event())

    async def work(batcher: Batcher) -> None:
        first = asyncio.create_task(ask(batcher, 1))
        await until(lambda: compute.calls == [1])
        late = asyncio.create_task(ask(batcher, 2, within_s=0.05))
        await asyncio.sleep(0)
        with pytest.raises(Refusal, match="1 requests are waiting, which is the most") as refused:
            await ask(batcher, 3)
        assert (refused.value.status, refused.value.kind) == (503, "overloaded")
        assert refused.value.retry_after_s is not None
        with pytest.raises(Refusal, match="in time") as refused:
            await late
        assert refused.value.status == 504
        compute.open()
        assert await first == [2.0]

    run(compute, Traffic(max_batch=8, max_waiting=1, cost=SLOW), work)
    assert compute.calls == [1]


def test_one_under_way_whose_time_is_up_is_told_so_and_the_next_is_answered() -> None:
    compute = Doubles(gate=threading.Event())

    async def work(batcher: Batcher) -> None:
        with pytest.raises(Refusal, match="in time"):
            await ask(batcher, 1, within_s=0.05)
        next_one = asyncio.create_task(ask(batcher, 2))
        compute.open()
        assert await next_one == [4.0]

    run(compute, Traffic(cost=SLOW), work)


def test_what_would_be_late_is_refused_at_once() -> None:
    compute = Doubles(gate=threading.Event())

    async def work(batcher: Batcher) -> None:
        first, second = (asyncio.create_task(ask(batcher, one, within_s=100)) for one in (1, 2))
        await until(lambda: compute.calls == [1])
        with pytest.raises(Refusal, match="the requests before this one take") as refused:
            await ask(batcher, 3, within_s=5)
        assert (refused.value.status, refused.value.kind) == (503, "overloaded")
        assert 4 < (refused.value.retry_after_s or 0) <= 6  # both take three seconds each
        with pytest.raises(Refusal, match="the requests before"):
            batcher.admit(time.monotonic() + 5)
        batcher.admit(time.monotonic() + 50)
        compute.open()
        assert await first == [2.0]
        assert await second == [4.0]

    run(compute, Traffic(cost=Cost(call_ms=3000, row_ms=0)), work)


def test_what_can_no_longer_be_in_time_is_not_begun() -> None:
    compute = Doubles(gate=threading.Event())

    async def work(batcher: Batcher) -> None:
        first = asyncio.create_task(ask(batcher, 1))
        await until(lambda: compute.calls == [1])
        hopeless = asyncio.create_task(ask(batcher, 2, within_s=1.5))
        patient = asyncio.create_task(ask(batcher, 3, 3, within_s=30))
        await asyncio.sleep(1.1)
        compute.gate.set()  # type: ignore[union-attr]
        with pytest.raises(Refusal, match="longer than expected") as refused:
            await hopeless
        assert refused.value.status == 503
        assert (await first, await patient) == ([2.0], [6.0, 6.0])

    run(compute, Traffic(max_batch=2, cost=Cost(call_ms=500.0, row_ms=0.0)), work)
    assert compute.calls == [1, 2]


def test_at_idle_only_what_can_never_be_in_time_is_refused() -> None:
    async def work(batcher: Batcher) -> None:
        with pytest.raises(Refusal, match="3 rows take the model 30 s"):
            await ask(batcher, 1, 2, 3, within_s=5)
        assert await ask(batcher, 1, within_s=50) == [2.0]

    run(Doubles(), Traffic(cost=Cost(call_ms=0, row_ms=10_000)), work)


def test_the_earliest_deadline_is_first() -> None:
    compute = Doubles(gate=threading.Event())
    order: list[float] = []

    async def work(batcher: Batcher) -> None:
        async def noted(value: float, within_s: float) -> None:
            await ask(batcher, value, within_s=within_s)
            order.append(value)

        waits = [asyncio.create_task(noted(1, 100))]
        await until(lambda: compute.calls == [1])
        waits += [asyncio.create_task(noted(value, within_s)) for value, within_s in ((2, 90), (3, 50), (4, 70), (5, 80))]
        await asyncio.sleep(0)
        compute.open()
        await asyncio.gather(*waits)

    run(compute, Traffic(cost=SLOW), work)
    assert order == [1, 3, 4, 5, 2]


def test_requests_of_two_shapes_are_grouped_and_neither_waits_for_the_other() -> None:
    compute = Doubles(gate=threading.Event())

    async def wide(batcher: Batcher, width: int) -> float:
        found = await batcher.predict({"x": np.full((1, width), width, np.float32)}, time.monotonic() + 5)
        return float(found.answers["y"][0, 0])

    async def work(batcher: Batcher) -> object:
        first = asyncio.create_task(ask(batcher, 1))
        await until(lambda: compute.calls == [1])
        rest = [asyncio.create_task(wide(batcher, width)) for width in (2, 3, 2, 3, 2, 5)]
        await asyncio.sleep(0)
        compute.open()
        await first
        return await asyncio.gather(*rest)

    assert run(compute, Traffic(max_batch=8, cost=SLOW), work) == [4, 6, 4, 6, 4, 10]
    assert compute.calls == [1, 3, 2, 1]


def test_it_waits_for_another_where_that_pays() -> None:
    """They come every few milliseconds, and a call takes seconds whatever it holds; of the first nothing is known."""
    compute = Doubles()

    async def work(batcher: Batcher) -> object:
        tasks = []
        for value in range(3):
            tasks.append(asyncio.create_task(ask(batcher, value, within_s=100)))
            await asyncio.sleep(0.002)
        return await asyncio.gather(*tasks)

    expensive = Cost(call_ms=4000, row_ms=1)
    assert run(compute, Traffic(max_batch=2, max_wait_ms=60_000, cost=expensive), work) == [[0.0], [2.0], [4.0]]
    assert compute.calls == [1, 2]
    compute.calls.clear()
    run(compute, Traffic(max_batch=2, max_wait_ms=0, cost=expensive), work)
    assert compute.calls == [1, 1, 1]


def test_it_waits_no_longer_than_it_may() -> None:
    """The third never comes."""
    compute = Doubles()

    async def work(batcher: Batcher) -> object:
        return [await ask(batcher, value, within_s=100) for value in range(3)]

    expensive = Cost(call_ms=4000, row_ms=1)
    assert run(compute, Traffic(max_batch=3, max_wait_ms=5, cost=expensive), work) == [[0.0], [2.0], [4.0]]
    assert compute.calls == [1, 1, 1]


def test_an_exit_in_the_model_is_one_requests_error() -> None:
    def leaves(records: Batch) -> Prediction:
        raise SystemExit(3) if records["x"][0] else StopIteration

    async def work(batcher: Batcher) -> object:
        return await asyncio.gather(*(ask(batcher, value) for value in (0, 1, 1)), return_exceptions=True)

    for cost in (QUICK, SLOW):
        found = run(leaves, Traffic(max_batch=2, cost=cost), work)
        assert [str(one) for one in found] == [  # type: ignore[attr-defined]
            "the model raised StopIteration", "the model raised SystemExit", "the model raised SystemExit"
        ]  # fmt: skip


def test_what_waits_at_the_end_is_refused() -> None:
    compute = Doubles(gate=threading.Event())

    async def work(batcher: Batcher) -> None:
        first, second = (asyncio.create_task(ask(batcher, one)) for one in (1, 2))
        await until(lambda: compute.calls == [1])
        compute.open()
        batcher.close()
        with pytest.raises(Refusal, match="the service is ending"):
            await second
        assert await first == [2.0]

    run(compute, Traffic(cost=SLOW), work)


def test_a_caller_who_leaves_costs_the_others_nothing() -> None:
    compute = Doubles(gate=threading.Event())

    async def work(batcher: Batcher) -> None:
        under_way = asyncio.create_task(ask(batcher, 1))
        await until(lambda: compute.calls == [1])
        waits, stays = (asyncio.create_task(ask(batcher, one)) for one in (2, 3))
        await asyncio.sleep(0)
        under_way.cancel()
        waits.cancel()
        await asyncio.sleep(0)
        takes_its_place = asyncio.create_task(ask(batcher, 5))
        await asyncio.sleep(0)
        compute.open()
        assert await stays == [6.0]
        assert await takes_its_place == [10.0]
        assert await ask(batcher, 4) == [8.0]

    run(compute, Traffic(max_batch=1, max_waiting=2, cost=SLOW), work)
    assert compute.calls == [1, 1, 1, 1]


@dataclass(frozen=True)
class Asks:
    """One of hypothesis' requests: its rows' first value and count, how wide a row is, when its caller stops waiting."""

    value: int
    rows: int
    width: int
    within_s: float
    leaves: bool


ASKS = st.builds(
    Asks,
    value=st.integers(0, 99),
    rows=st.integers(1, 6),
    width=st.integers(1, 2),
    within_s=st.floats(50, 100),
    leaves=st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(
    asks=st.lists(ASKS, max_size=25),
    max_batch=st.integers(1, 8),
    runs=st.integers(1, 3),
    batchable=st.booleans(),
    cost=st.sampled_from([QUICK, SLOW]),
)
def test_each_gets_its_own_rows_and_none_is_computed_twice(
    asks: list[Asks], max_batch: int, runs: int, batchable: bool, cost: Cost
) -> None:
    calls: list[np.ndarray] = []

    def compute(records: Batch) -> Prediction:
        calls.append(records["x"])
        return Prediction(records=records, tensors=records, answers={"y": -records["x"]})

    async def one(batcher: Batcher, number: int, asked: Asks) -> np.ndarray:
        x = 1000.0 * number + asked.value + np.arange(asked.rows * asked.width).reshape(asked.rows, asked.width)
        found = await batcher.predict({"x": x}, time.monotonic() + asked.within_s)
        np.testing.assert_array_equal(found.records["x"], x)
        np.testing.assert_array_equal(found.answers["y"], -x)
        return x

    async def work(batcher: Batcher) -> list[np.ndarray | BaseException]:
        tasks = [asyncio.create_task(one(batcher, number, asked)) for number, asked in enumerate(asks)]
        await asyncio.sleep(0)
        for task, asked in zip(tasks, asks, strict=True):
            if asked.leaves:
                task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = run(compute, Traffic(max_batch=max_batch, runs=runs, cost=cost), work, batchable=batchable)
    assert isinstance(found, list)
    answered = [one for one in found if not isinstance(one, asyncio.CancelledError)]
    assert not [one for one in answered if isinstance(one, BaseException)]
    assert len(answered) >= sum(not one.leaves for one in asks)
    computed = [tuple(row) for call in calls for row in call]
    assert len(computed) == len(set(computed))
    assert set(computed) >= {tuple(row) for one in answered for row in one}
    largest = max((one.rows for one in asks), default=0)
    assert all(len(call) <= (max(max_batch, largest) if batchable else largest) for call in calls)
