"""What a request's headers say of how it is to be answered."""

import time

import pytest

from fdpipe.serving import wishes
from fdpipe.serving.call import Asked, Call
from fdpipe.serving.refusal import Refusal


def heeded(*headers: tuple[bytes, bytes]) -> Call:
    call = Call("test", time.monotonic() + 60)
    wishes.heed(Asked(headers, b"", call))
    return call


def left_s(call: Call) -> float:
    return call.deadline - time.monotonic()


def test_without_wishes() -> None:
    call = heeded((b"accept", b"*/*"))
    assert (call.fresh, left_s(call) > 50) == (False, True)


@pytest.mark.parametrize("value", [b"no-cache", b"max-age=0, No-Cache", b"no-store"])
def test_a_fresh_answer(value: bytes) -> None:
    assert heeded((b"cache-control", value)).fresh
    assert not heeded((b"cache-control", b"max-age=60")).fresh


@pytest.mark.parametrize("name", [wishes.TIMEOUT_MS, wishes.PROXYS_TIMEOUT_MS])
def test_an_earlier_deadline(name: bytes) -> None:
    assert left_s(heeded((name, b"500"))) < 0.6
    assert 50 < left_s(heeded((name, b"100000"))) < 61
    assert left_s(heeded((name, b"0"))) > 50


@pytest.mark.parametrize("value", [b"", b"-1", b"1.5", b"5s", b"9" * 5000, b"\xff"])
def test_what_is_no_number(value: bytes) -> None:
    with pytest.raises(Refusal, match=r"x-request-timeout-ms is .*: it must be a number of milliseconds"):
        heeded((wishes.TIMEOUT_MS, value))
