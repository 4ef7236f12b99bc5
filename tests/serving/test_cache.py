"""Answers that are kept in memory: what is found, what is computed once, and how much of it there is."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import numpy as np
import pytest

from fdpipe.arrays import Batch
from fdpipe.serving.cache import OVERHEAD_BYTES, Cache, key_of, size_bytes
from fdpipe.serving.call import Call, Prediction
from fdpipe.serving.refusal import Refusal

T = TypeVar("T")


class Model:
    """Twice the input, `seconds` later; by the deadline it refuses. `left` counts callers who did not wait."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.asked = self.left = 0

    async def __call__(self, records: Batch, deadline: float) -> Prediction:
        self.asked += 1
        try:
            await asyncio.wait_for(asyncio.sleep(self.seconds), deadline - time.monotonic())
        except TimeoutError as error:
            raise Refusal("there was no answer in time", status=504, kind="timeout") from error
        except asyncio.CancelledError:
            self.left += 1
            raise
        return Prediction(records=records, tensors=records, answers={"y": 2 * records["x"]})


def call(seconds: float = 5.0, *, fresh: bool = False) -> Call:
    return Call("test", time.monotonic() + seconds, fresh=fresh)


def row(*values: float) -> Batch:
    return {"x": np.array([values], np.float32)}


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def test_what_was_asked_before_is_not_computed_again() -> None:
    async def body() -> None:
        model = Model()
        cache = Cache(model, "release", 1)
        first, again, other = call(), call(), call()
        computed = await cache.predict(row(1, np.nan), first)
        kept = await cache.predict(row(1, np.nan), again)
        await cache.predict(row(1, 2), other)
        assert (first.cache, again.cache, other.cache, model.asked) == ("miss", "hit", "miss", 2)
        np.testing.assert_array_equal(kept.answers["y"], computed.answers["y"])
        assert kept.answers["y"].dtype == computed.answers["y"].dtype
        assert computed.tensors
        assert not kept.tensors

    run(body())


def test_who_wants_a_fresh_answer_gets_one_and_leaves_none() -> None:
    async def body() -> None:
        model = Model()
        cache = Cache(model, "release", 1)
        fresh, after = call(fresh=True), call()
        await cache.predict(row(1), fresh)
        await cache.predict(row(1), after)
        await cache.predict(row(1), call(fresh=True))
        assert (fresh.cache, after.cache, model.asked) == (None, "miss", 3)

    run(body())


def test_a_kept_answer_cannot_be_changed() -> None:
    async def body() -> None:
        cache = Cache(Model(), "release", 1)
        computed = await cache.predict(row(1), call())
        computed.answers["y"][:] = 7
        kept = await cache.predict(row(1), call())
        assert kept.answers["y"].tolist() == [[2]]
        with pytest.raises(ValueError, match="read-only"):
            kept.answers["y"][:] = 7

    run(body())


def test_no_more_is_kept_than_may_be_and_what_was_used_last_stays() -> None:
    async def body() -> None:
        model = Model()
        entry = OVERHEAD_BYTES + 400
        cache = Cache(model, "release", 3.5 * entry / 2**20)
        rows = [row(*[number] * 100) for number in range(4)]
        for one in (*rows[:3], rows[0], rows[3]):
            await cache.predict(one, call())
        assert model.asked == 4
        found = []
        for one in (rows[0], rows[2], rows[3], rows[1]):
            found.append(asked := call())
            await cache.predict(one, asked)
        assert [one.cache for one in found] == ["hit", "hit", "hit", "miss"]
        large = row(*[1.0] * 4000)
        await cache.predict(large, call())
        await cache.predict(large, asked := call())
        assert asked.cache == "miss"

    run(body())


def test_what_is_asked_twice_at_once_is_computed_once() -> None:
    async def body() -> None:
        model = Model(0.05)
        cache = Cache(model, "release", 1)
        calls = [call() for _ in range(20)]
        found = await asyncio.gather(*[cache.predict(row(3), one) for one in calls])
        assert model.asked == 1
        assert [one.cache for one in calls] == ["miss"] + ["joined"] * 19
        assert all(one.answers["y"].tolist() == [[6]] for one in found)

    run(body())


@pytest.mark.parametrize("leaving", [0, 1])
def test_who_leaves_takes_nothing_from_the_others(leaving: int) -> None:
    async def body() -> None:
        model = Model(0.05)
        cache = Cache(model, "release", 1)
        tasks = [asyncio.create_task(cache.predict(row(3), call())) for _ in range(3)]
        await asyncio.sleep(0.01)
        tasks[leaving].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(found.pop(leaving), asyncio.CancelledError)
        assert [one.answers["y"].tolist() for one in found if isinstance(one, Prediction)] == [[[6]]] * 2
        assert (model.asked, model.left) == (1, 0)

    run(body())


def test_when_all_have_left_nothing_is_computed_for_nobody() -> None:
    async def body() -> None:
        model = Model(0.5)
        cache = Cache(model, "release", 1)
        tasks = [asyncio.create_task(cache.predict(row(3), call())) for _ in range(3)]
        await asyncio.sleep(0.01)
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        model.seconds = 0.0
        found = await cache.predict(row(3), asked := call())
        assert found.answers["y"].tolist() == [[6]]
        assert (asked.cache, model.asked, model.left) == ("miss", 2, 1)

    run(body())


def test_everyone_has_his_own_deadline() -> None:
    """The first one's ends early, and the second's work goes on without him; the third one's ends while he waits for it."""

    async def body() -> None:
        model = Model(0.2)
        cache = Cache(model, "release", 1)
        calls = [call(0.05), call(5), call(0.1)]
        found = await asyncio.gather(*[cache.predict(row(3), one) for one in calls], return_exceptions=True)
        assert [getattr(one, "kind", None) for one in found] == ["timeout", None, "timeout"]
        assert isinstance(found[1], Prediction)
        assert model.asked == 2

    run(body())


def test_a_refusal_is_everyones_and_is_not_kept() -> None:
    async def refuse(records: Batch, deadline: float) -> Prediction:
        asked.append(records)
        await asyncio.sleep(0.01)
        raise Refusal("not this one", status=422, kind="not_answerable")

    async def body() -> None:
        cache = Cache(refuse, "release", 1)
        found = await asyncio.gather(*[cache.predict(row(3), call()) for _ in range(3)], return_exceptions=True)
        assert [str(one) for one in found] == ["not this one"] * 3
        with pytest.raises(Refusal, match="not this one"):
            await cache.predict(row(3), call())

    asked: list[Batch] = []
    run(body())
    assert len(asked) == 2


def test_the_key_is_the_exact_input() -> None:
    zeros = np.zeros((2, 3), np.float32)
    texts = np.array([["ab", "c"]], dtype=object)
    different: list[Batch] = [
        {"x": zeros},
        {"y": zeros},
        {"x": zeros.reshape(3, 2)},
        {"x": zeros.view(np.int32)},
        {"x": -zeros},
        {"x": zeros, "y": zeros[:0]},
        {"x": texts},
        {"x": texts.reshape(2, 1)},
        {"x": np.array([["a", "bc"]], dtype=object)},
        {"x": np.array([[b"ab", b"c"]], dtype=object)},
        {"x": texts.astype(str)},
    ]
    keys = [key_of(b"release", one) for one in different]
    assert None not in keys
    assert len(set(keys)) == len(different)
    assert key_of(b"another release", different[0]) != keys[0]
    assert key_of(b"release", {"y": zeros[:0], "x": zeros}) == keys[5]
    transposed = np.arange(6, dtype=np.float32).reshape(3, 2).T
    assert key_of(b"release", {"x": transposed}) == key_of(b"release", {"x": np.ascontiguousarray(transposed)})
    assert key_of(b"release", {"x": np.array(["\ud800"], dtype=object)}) is None


def test_strings_count() -> None:
    assert size_bytes({"label": np.array(["z" * 1000], dtype=object)}) > OVERHEAD_BYTES + 1000
