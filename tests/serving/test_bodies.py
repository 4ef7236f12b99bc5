"""The bodies that are here at once."""

import asyncio
from collections.abc import Sequence

import pytest

from fdpipe.serving.bodies import Bodies
from fdpipe.serving.call import Call
from fdpipe.serving.refusal import Refusal


def read(bodies: Bodies, call: Call, chunks: Sequence[bytes], announced: int | None = None) -> bytes:
    left = list(chunks)

    async def receive() -> dict[str, object]:
        chunk = left.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(left)}

    headers = [] if announced is None else [(b"content-length", b"%d" % announced)]
    return asyncio.run(bodies.read(headers, receive, call))


@pytest.mark.parametrize("announced", [None, 5])
def test_what_is_held_is_given_back(announced: int | None) -> None:
    bodies = Bodies(limit=10, most=12)
    calls = [Call("test", 0.0) for _ in range(3)]
    for call in calls[:2]:
        assert read(bodies, call, [b"abc", b"de"], announced) == b"abcde"
        assert (call.is_read, call.held_bytes) == (True, 5)
    with pytest.raises(Refusal, match="of other requests are here already") as refused:
        read(bodies, calls[2], [b"abc"], announced)
    assert (refused.value.status, refused.value.kind, calls[2].is_read) == (503, "overloaded", False)
    for call in calls:
        bodies.let_go(call)
    assert read(bodies, Call("test", 0.0), [b"0123456789"]) == b"0123456789"


def test_a_single_body_may_be_larger_than_all_together() -> None:
    assert read(Bodies(limit=10, most=3), Call("test", 0.0), [b"abc", b"def"], 6) == b"abcdef"


def test_who_announces_much_and_sends_nothing_takes_nothing_from_others() -> None:
    async def inside() -> bytes:
        bodies, forever = Bodies(limit=10, most=12), asyncio.Event()

        async def nothing() -> dict[str, object]:
            await forever.wait()
            raise AssertionError

        async def something() -> dict[str, object]:
            return {"type": "http.request", "body": b"abcde"}

        idle = asyncio.create_task(bodies.read([(b"content-length", b"10")], nothing, Call("test", 0.0)))
        await asyncio.sleep(0)
        body = await bodies.read([(b"content-length", b"5")], something, Call("test", 0.0))
        idle.cancel()
        return body

    assert asyncio.run(inside()) == b"abcde"


def test_one_that_is_announced_smaller_than_it_is() -> None:
    with pytest.raises(Refusal, match="larger than"):
        read(Bodies(limit=4), Call("test", 0.0), [b"abc", b"def"], 2)


def test_a_length_of_thousands_of_digits_is_no_length() -> None:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"abc"}

    assert asyncio.run(Bodies(limit=4).read([(b"content-length", b"9" * 5000)], receive, Call("test", 0.0))) == b"abc"
