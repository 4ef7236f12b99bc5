"""Loads on a real server of which the service time is known. Ratios far apart are asserted, no limits of the clock."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fdpipe.errors import ConfigError, DeploymentError
from fdpipe.load.modes import Closed, Load, Open, Replay
from fdpipe.load.requests import recorded
from fdpipe.load.sending import Address, Job, send
from fdpipe.load.wire import Request
from tests.load.slow_server import SlowServer, running

SERVICE_S = 0.01
ONE = (Request(path="/infer", content=b"{}"),)


@pytest.fixture
def slow() -> Iterator[SlowServer]:
    with running(SlowServer(service_s=SERVICE_S)) as server:
        yield server


def job(load: Load) -> Job:
    return Job(load=load, requests=ONE)


def test_an_open_loop_shows_the_queue_that_a_closed_one_hides(slow: SlowServer) -> None:
    """At one and a half times what the server can do: the closed loop, which asks less then, sees one service time; callers who
    come as they like wait for all who came before them. With one connection they wait in the sender, which counts too."""
    rate = 1.5 / SERVICE_S
    loads = (Closed(seconds=0.5), Open(rate=rate, seconds=1.0), Open(rate=rate, seconds=1.0, connections=1))
    closed, opened, narrow = send(Address(host=slow.host), [job(load) for load in loads])
    alone, queued, waited, hidden = (
        one.p90_ms for one in (closed.from_sent, opened.from_intended, narrow.from_intended, narrow.from_sent)
    )
    assert alone is not None
    assert queued is not None
    assert waited is not None
    assert hidden is not None
    assert queued > 8 * alone
    assert waited > 8 * hidden
    assert closed.succeeded == closed.sent
    assert (opened.sent, opened.succeeded) == (150, 150)
    assert opened.requests_per_s < 1 / SERVICE_S
    assert narrow.waited > 100
    assert opened.waited == closed.waited == 0


def test_more_callers_wait_longer_and_get_no_more(slow: SlowServer) -> None:
    one, eight = send(Address(host=slow.host), [job(Closed(concurrency=count, seconds=0.5)) for count in (1, 8)])
    assert one.from_sent.p50_ms is not None
    assert eight.from_sent.p50_ms is not None
    assert eight.from_sent.p50_ms > 4 * one.from_sent.p50_ms
    assert eight.requests_per_s < 2 * one.requests_per_s


def test_a_replay_keeps_times_and_order(tmp_path: Path) -> None:
    """Three at once, a long pause, two; written in another order and beginning at any time."""
    offsets = [0.0, 0.0, 0.0, 0.6, 0.8]
    lines = [json.dumps({"time": 1000.0 + when, "body": {"n": number}}) for number, when in enumerate(offsets)]
    path = tmp_path / "recorded.jsonl"
    path.write_text("\n".join(reversed(lines[3:])) + "\n\n" + "\n".join(lines[:3]) + "\n")
    requests, load = recorded(path, "/infer")
    assert load.offsets == pytest.approx(tuple(offsets))
    with running(SlowServer()) as server:
        (result,) = send(Address(host=server.host), [Job(load=load, requests=requests)])
        bodies, arrivals = server.bodies[-5:], np.array(server.arrivals[-5:])
    assert sorted(json.loads(body)["n"] for body in bodies[:3]) == [0, 1, 2]
    assert [json.loads(body)["n"] for body in bodies[3:]] == [3, 4]
    gaps = np.diff(arrivals)
    assert gaps[2] > 0.55
    assert gaps[2] > 5 * max(gaps[0], gaps[1])
    assert (result.sent, result.succeeded) == (5, 5)
    assert result.offered == "replay of 5 recorded requests over 0.8 s"


def test_what_fails_counts_as_never_answered() -> None:
    """Half of the requests are refused at once, which must not look fast."""
    with running(SlowServer(statuses=(200, 429))) as server:
        (result,) = send(Address(host=server.host), [job(Closed(seconds=0.3))])
    assert result.statuses.keys() == {"200", "429"}
    assert abs(result.statuses["200"] - result.statuses["429"]) <= 1
    assert result.succeeded == result.statuses["200"]
    assert result.from_sent.p99_ms is None
    assert result.from_sent.slowest_ms is None


def test_an_answer_that_does_not_come_in_time_has_failed(slow: SlowServer) -> None:
    """Of 40 callers at once only the first are served within 0.2 s; those who wait in the sender give up too."""
    load = Replay(offsets=(0.0,) * 40, connections=4)
    (result,) = send(Address(host=slow.host, timeout_s=0.2), [job(load)])
    assert 0 < result.succeeded < 40
    assert result.statuses["no answer within 0.2 s"] == 40 - result.succeeded


def test_nobody_there() -> None:
    with pytest.raises(
        DeploymentError, match=r"http://127\.0\.0\.1:1 does not answer: ClientConnectorError; start the service"
    ):
        send(Address(host="http://127.0.0.1:1"), [job(Closed(seconds=0.1))])


def test_arrivals_are_a_poisson_process_of_a_known_number() -> None:
    load = Open(rate=2000, seconds=10, seed=3)
    gaps = np.diff(load.times)
    assert len(load.times) == 20_000
    assert load.times.min() >= 0
    assert load.times.max() <= 10
    assert gaps.std() / gaps.mean() == pytest.approx(1, abs=0.05)
    assert np.array_equal(load.times, Open(rate=2000, seconds=10, seed=3).times)
    assert not np.array_equal(load.times, Open(rate=2000, seconds=10, seed=4).times)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("", "is empty: there must be one request a line"),
        ('{"time": 1}', 'line 1: there must be an object with a "time" in seconds and a "body"'),
        ('{"time": true, "body": {}}', "line 1: there must be an object"),
        ('{"time": 1, "body": {}}\n{"time"', "line 2 is no JSON"),
    ],
)
def test_a_recording_that_is_none(tmp_path: Path, line: str, text: str) -> None:
    path = tmp_path / "recorded.jsonl"
    path.write_text(line)
    with pytest.raises(ConfigError, match=text):
        recorded(path, "/infer")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Closed(concurrency=0), "concurrency must be from 1 to 900, not 0"),
        (lambda: Open(rate=0.0), "rate must be above 0, not 0"),
        (lambda: Open(rate=0.1, seconds=1), "rate × seconds must be from 1 to 2000000 requests, not 0.1"),
        (lambda: Replay(offsets=(0.0, 2.0, 1.0)), "offsets must be seconds, ascending from 0"),
        (lambda: Replay(offsets=(0.0,), speed=float("nan")), "speed must be above 0, not nan"),
        (lambda: Address(host="127.0.0.1:80"), "host must be http://NAME:PORT"),
    ],
)
def test_what_cannot_be_sent(make: type, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()
