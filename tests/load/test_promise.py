"""What a service does beside what was promised, on a server whose service time is known."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fdpipe.arrays import save_arrays
from fdpipe.artifacts import Expected, Latency, LoadResult, Measured, Measurement, Sending, Timing
from fdpipe.load import promise
from fdpipe.machine import describe_machine
from tests.load.slow_server import SlowServer, running


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    path = tmp_path / "golden.npz"
    save_arrays(path, {"input.x": np.eye(3, dtype=np.float32), "answer.label": np.arange(3)})
    return path


@pytest.fixture(scope="module")
def slow() -> Iterator[SlowServer]:
    """An inference takes 20 ms, anything else next to nothing."""
    with running(SlowServer(service_s=0.02)) as server:
        yield server


def test_a_service_far_slower_than_promised_is_told(slow: SlowServer, golden: Path) -> None:
    kept = promise.ask(golden, slow.host, "m", promise.Wanted(promised_ms=0.1))
    assert kept.note.startswith("a request to the service takes 2")
    assert "the benchmark promised 0.10 ms for the model, and a request without it takes " in kept.note
    assert kept.refused == ""
    assert [one.offered.split(",")[1] for one in kept.loads] == [" 1 at a time", " 4 at a time"]


def test_limits_refuse_and_say_by_how_much(slow: SlowServer, golden: Path) -> None:
    """What was promised is kept, and is not what was asked for."""
    kept = promise.ask(golden, slow.host, "m", promise.Wanted(promised_ms=1000.0, p99_ms=5.0, requests_per_s=1e6))
    assert kept.note == ""
    first, second = kept.refused.split("; ")
    assert first.startswith("one caller's p99 is ")
    assert first.endswith(" ms, service.p99_ms allows 5 ms")
    assert second.startswith("4 callers get ")
    assert second.endswith(" answers a second, service.requests_per_s asks for 1e+06")


def test_what_cannot_be_measured_is_told_and_passes_no_limit(golden: Path) -> None:
    told = promise.ask(golden, "http://127.0.0.1:1", "m", promise.Wanted(promised_ms=1.0))
    assert told.note.startswith("the service's speed is not measured: http://127.0.0.1:1 does not answer")
    assert (told.refused, told.loads) == ("", ())
    limited = promise.ask(golden, "http://127.0.0.1:1", "m", promise.Wanted(p99_ms=1000.0))
    assert limited.refused == limited.note


def test_requests_that_fail_are_told_and_pass_no_limit(golden: Path) -> None:
    with running(SlowServer(statuses=(200, 503))) as server:
        kept = promise.ask(golden, server.host, "m", promise.Wanted(p99_ms=1000.0))
    assert "requests failed that were asked one after the other" in kept.note
    assert kept.refused == "one caller's p99 was never answered, service.p99_ms allows 1000 ms"


def load(*, p99_ms: float, per_s: float, busy: float) -> LoadResult:
    latency = Latency(p50_ms=0.5, p90_ms=p99_ms, p99_ms=p99_ms, p999_ms=None, slowest_ms=p99_ms)
    sending = Sending(late_p99_ms=0, latest_ms=0, busy=busy, interrupted=0, load_before=0, load_after=0)
    return LoadResult(
        offered="made up", sent=1000, succeeded=1000, statuses={"200": 1000}, seconds=1000 / per_s, requests_per_s=per_s,
        from_intended=latency, from_sent=latency, waited=0, sending=sending,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("busy", "limit_ms", "told"),
    [
        (1.0, 0.9, ""),
        (1.0, 0.25, "one caller's p99 is 0.80 ms, service.p99_ms allows 0.25 ms"),
        (
            1.0, 0.35, "one caller's p99 is at most 0.80 ms, of which the sender itself takes 0.50 ms: it is not shown that "
            "the service keeps the 0.35 ms of service.p99_ms",
        ),
        (0.5, 0.35, "one caller's p99 is 0.80 ms, service.p99_ms allows 0.35 ms"),
    ],
)  # fmt: skip
def test_what_one_caller_sees_bounds_the_services_own_time(busy: float, limit_ms: float, told: str) -> None:
    """A bound that is within the limit passes it, and only what the sender's own time does not explain misses it."""
    assert promise.too_slow(load(p99_ms=0.8, per_s=2000.0, busy=busy), limit_ms) == told


@pytest.mark.parametrize(
    ("busy", "limit", "told"),
    [
        (1.0, 2000.0, ""),
        (0.5, 2001.0, "4 callers get 2000.0 answers a second, service.requests_per_s asks for 2001"),
        (
            0.99, 2001.0, "4 callers get 2000.0 answers a second, service.requests_per_s asks for 2001, and the sender could "
            "ask for no more (it took 99% of a core): it is not shown",
        ),
    ],
)  # fmt: skip
def test_a_sender_at_its_limit_shows_how_much_the_service_answers_at_least(busy: float, limit: float, told: str) -> None:
    assert promise.too_few(load(p99_ms=0.8, per_s=2000.0, busy=busy), limit) == told


def test_what_was_expected_is_told_beside_what_came_of_it() -> None:
    kept = promise.Kept(loads=(load(p99_ms=0.8, per_s=2000.0, busy=0.97), load(p99_ms=2.0, per_s=3000.0, busy=0.5)))
    wanted = promise.Wanted(expected=Expected(p50_ms=0.03, p99_ms=0.04, requests_per_s=37000.0))
    assert promise.told(kept, wanted) == (
        "the model alone allows 0.03 ms (p99 0.04 ms) and 37,000 requests/s; one caller got at most 0.50 ms (p99 0.80 ms), "
        "4 callers 3,000 requests/s"
    )
    assert promise.told(kept, promise.Wanted()) == ""


def test_the_promise_is_the_median_for_one_row_as_it_is() -> None:
    timings = tuple(
        Timing(batch=batch, calls=9, p50_ms=p50, p90_ms=p50, p99_ms=p50, rows_per_s=1.0, ratio=None, length=length)
        for batch, p50, length in ((8, 3.0, None), (1, 2.0, 128), (1, 1.0, None))
    )
    measurement = Measurement(candidate="a", timings=timings, load_ms=1, first_call_ms=1, peak_rss_mib=None, size_bytes=1)
    measured = Measured(measurements=(measurement,), baseline="a", threads=1, machine=describe_machine())
    assert promise.promised_ms(measured, "a") == 1.0
    assert promise.promised_ms(measured, "b") is None
