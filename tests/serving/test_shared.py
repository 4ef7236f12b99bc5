"""Answers shared through a real Redis, one that dies, and one that never answers."""

import asyncio
import time
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from fdpipe.arrays import Batch
from fdpipe.serving import shared
from fdpipe.serving.cache import Cache
from fdpipe.serving.call import Call, Prediction
from fdpipe.serving.shared import FAILURES, Shared, packed_of, unpacked
from tests.serving.redis_server import RedisServer, redis_server

X: Batch = {"x": np.array([[1, 2]], np.float32)}


async def double(records: Batch, deadline: float) -> Prediction:
    return Prediction(records=records, tensors=records, answers={"y": 2 * records["x"]})


async def outcome(cache: Cache) -> str | None:
    call = Call("test", time.monotonic() + 5)
    found = await cache.predict(X, call)
    assert found.answers["y"].tolist() == [[2, 4]]
    return call.cache


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


def test_another_process_finds_it(redis: RedisServer) -> None:
    async def one(release: str) -> str | None:
        found = Shared(redis.url, print)
        try:
            return await outcome(Cache(double, release, 1, found))
        finally:
            await found.close()

    assert [asyncio.run(one(release)) for release in ("a", "a", "b", "a")] == ["miss", "hit", "miss", "hit"]


def test_a_redis_that_dies_and_comes_back(redis: RedisServer) -> None:
    """Requests go on, and after a few failures it is not asked any more, until it is back."""

    async def body() -> None:
        told: list[bool] = []
        found = Shared(redis.url, told.append, pause_s=0.3)
        assert await outcome(Cache(double, "a", 1, found)) == "miss"
        assert await outcome(Cache(double, "a", 1, found)) == "hit"
        redis.kill()
        for _ in range(FAILURES + 2):
            assert await outcome(Cache(double, "a", 1, found)) == "miss"
        assert told == [True]
        redis.start()
        until = time.monotonic() + 10
        while await outcome(Cache(double, "a", 1, found)) != "hit":
            assert time.monotonic() < until
            await asyncio.sleep(0.05)
        assert (told[0], told[-1]) == (True, False)
        await found.close()

    asyncio.run(body())


def test_a_redis_that_never_answers_costs_a_few_short_waits() -> None:
    """Whoever asks at once waits at once; the trial after the pause is one request's."""

    async def body() -> None:
        accepted = 0
        held: list[asyncio.StreamWriter] = []

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal accepted
            accepted += 1
            held.append(writer)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        told: list[bool] = []
        found = Shared(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", told.append, pause_s=0.5)
        for _ in range(20):
            assert await found.get(b"key") is None
        assert (accepted, told) == (FAILURES, [True])
        await asyncio.sleep(0.6)
        assert await asyncio.gather(*[found.get(b"key") for _ in range(20)]) == [None] * 20
        assert accepted == FAILURES + 1
        await found.close()
        server.close()
        for one in held:
            one.close()

    asyncio.run(body())


def test_what_is_shared_comes_back_as_it_was() -> None:
    answers: Batch = {
        "label": np.array([["a", "ß\0"], ["", "z"]], dtype=object),
        "text": np.array(["ab", "c"]),
        "p": np.array([[np.nan, -0.0, np.inf]], np.float16),
        "flag": np.array([True, False]),
        "none": np.zeros((0, 3), np.int64),
    }
    packed = packed_of(answers)
    assert packed is not None
    found = unpacked(packed)
    assert found is not None
    assert list(found) == list(answers)
    for name, array in answers.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tolist() == array.tolist() or name == "p"
    assert found["p"].tobytes() == answers["p"].tobytes()


@pytest.mark.parametrize(
    "value",
    [
        b"", b"\xc1", b"\x80\x04K\x01.", "text", [["y", "<f4", [2], b"\0" * 7]], [["y", "<f4", [3], b"\0" * 8]],
        [["y", "O", [1], b"\0" * 8]], [["y", "M8[s]", [1], b"\0" * 8]], [["y", "no", [1], b""]], [["y", "O", [3], ["a"]]],
        [["y", "<f4", [-1, -1], b"\0" * 8]],
    ],
)  # fmt: skip
def test_what_somebody_else_wrote_is_no_answer(value: object) -> None:
    assert unpacked(value if isinstance(value, bytes) else msgspec.msgpack.encode(value)) is None


def test_what_is_not_shared() -> None:
    assert packed_of({"y": np.zeros(2**20 + 1, np.float64)}) is None
    assert packed_of({"y": np.array(["2026"], "M8[Y]")}) is None
    assert packed_of({"y": np.array(["\ud800"], dtype=object)}) is None


def test_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(shared.URL, raising=False)
    assert shared.from_environment(print) is None
    monkeypatch.setenv(shared.URL, "http://user:secret@cache")
    with pytest.raises(SystemExit, match=r"FDPIPE_SERVICE_CACHE_URL is no redis://") as ended:
        shared.from_environment(print)
    assert "secret" not in str(ended.value)
