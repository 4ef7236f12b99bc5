"""Figures, from what a sender would tell."""

import numpy as np
import pytest

from fdpipe.artifacts import Latency, Sending
from fdpipe.load.figures import fault, figures, latency
from fdpipe.load.wire import Done

NONE = Latency(p50_ms=None, p90_ms=None, p99_ms=None, p999_ms=None, slowest_ms=None)


def done(count: int, *, late_s: float = 0.0, took_s: float = 0.01, busy_s: float = 0.1, failed: int = 0) -> Done:
    """`count` requests, one a millisecond, of which the last `failed` were refused or had no answer."""
    intended = np.arange(count) / 1000
    statuses = np.full(count, 200, np.int32)
    if failed:
        statuses[-failed:] = np.where(np.arange(failed) % 2 == 0, 503, -1)
    arrays = (intended, intended + late_s, intended + late_s, intended + late_s + took_s)
    raw = [array.tobytes() for array in arrays]
    return Done(
        intended=raw[0], turned=raw[1], sent=raw[2], ended=raw[3], statuses=statuses.tobytes(),
        failures=["ServerDisconnectedError"], busy_s=busy_s, wall_s=count / 1000, interrupted=7, waited=0,
    )  # fmt: skip


def sending(*, late_p99_ms: float = 0.0, busy: float = 0.1) -> Sending:
    return Sending(late_p99_ms=late_p99_ms, latest_ms=late_p99_ms, busy=busy, interrupted=0, load_before=0.0, load_after=0.0)


def test_figures_of_a_quiet_run() -> None:
    found = figures("a load", done(1000, late_s=0.0005), (0.1, 0.2))
    assert (found.sent, found.succeeded, found.statuses) == (1000, 1000, {"200": 1000})
    assert found.requests_per_s == pytest.approx(1000)
    assert found.from_intended.p99_ms == pytest.approx(10.5)
    assert found.from_sent.p999_ms == pytest.approx(10.0)
    assert found.sending.late_p99_ms == pytest.approx(0.5)
    assert (found.sending.interrupted, found.sending.load_before, found.sending.load_after) == (7, 0.1, 0.2)
    assert found.not_measured == ""


def test_two_of_a_hundred_that_failed_leave_no_p99() -> None:
    found = figures("a load", done(200, failed=4), (0.0, 0.0))
    assert found.statuses == {"503": 2, "200": 196, "ServerDisconnectedError": 2}
    assert found.from_intended.p90_ms == pytest.approx(10.0)
    assert found.from_intended.p99_ms is None
    assert found.succeeded == 196


def test_a_late_sender_reports_nothing() -> None:
    found = figures("a load", done(1000, late_s=0.02), (0.0, 0.0))
    assert found.not_measured.startswith("the sender was late by 20.0 ms (p99) where 7.5 ms are allowed: not measured")


def test_a_sender_that_fills_its_core_reports_nothing() -> None:
    found = figures("a load", done(1000, busy_s=0.95), (0.0, 0.0))
    assert found.not_measured == "the sender itself took 95% of a core, and could send no faster: not measured"


def test_lateness_is_judged_beside_what_was_measured() -> None:
    """A millisecond is always allowed; in a queue of seconds 20 ms mean nothing; with no answers there is nothing to judge."""
    assert fault(sending(late_p99_ms=0.9), latency(np.full(200, 0.001))) == ""
    assert fault(sending(late_p99_ms=20.0), latency(np.full(200, 2.0))) == ""
    assert fault(sending(late_p99_ms=20.0), latency(np.full(200, 0.03))) != ""
    assert fault(sending(late_p99_ms=20.0), NONE) == ""


def test_quantiles_are_latencies_that_occurred_and_need_their_requests() -> None:
    found = latency(np.arange(1, 101) / 1000)
    assert (found.p50_ms, found.p90_ms, found.p99_ms, found.p999_ms, found.slowest_ms) == (50, 90, 99, None, 100)
    assert latency(np.arange(99) / 1000).p99_ms is None
    assert latency(np.ones(1000)).p999_ms == 1000
    assert latency(np.array([])) == NONE
