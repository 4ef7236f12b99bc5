"""The search for the highest rate, on simulated services: pure functions, no clock."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fdpipe.load.objective import Found, Objective, Try, highest_rate

OBJECTIVE = Objective(p99_ms=50.0, budget_s=1000.0)


def tried(rate: float, p99_ms: float | None) -> Try:
    return Try(rate=rate, p99_ms=p99_ms, sent_p99_ms=p99_ms, seconds=3.0)


def simulated(capacity: float, *, noise: float = 0.0, seed: int = 0) -> Callable[[float], Try]:
    """An M/M/1 queue: the p99 of its time is -ln(0.01) / (capacity - rate), and there is none from its capacity on."""
    generator = np.random.default_rng(seed)

    def attempt(rate: float) -> Try:
        p99 = None if rate >= capacity else 1000 * -np.log(0.01) / (capacity - rate) * np.exp(noise * generator.normal())
        return tried(rate, p99)

    return attempt


def truth(capacity: float) -> float:
    """Where the simulated p99 is the objective's."""
    return float(capacity + np.log(0.01) * 1000 / OBJECTIVE.p99_ms)


@pytest.mark.parametrize("capacity", [150.0, 1000.0, 40000.0])
@pytest.mark.parametrize("first", [20.0, 700.0, 90000.0])
def test_it_finds_the_rate_from_wherever_it_starts(capacity: float, first: float) -> None:
    found = highest_rate(OBJECTIVE, first, simulated(capacity))
    assert found.rate is not None
    assert found.failed_at is not None
    assert found.rate <= truth(capacity) <= found.failed_at
    assert found.failed_at / found.rate <= 1 + OBJECTIVE.precision
    assert found.ended == "the two lie within 10%"


def test_noise_costs_tries_and_hardly_moves_what_is_found() -> None:
    """With a p99 that is 20 % off at one try, found rates lie within a few percent of the true one."""
    found = [highest_rate(OBJECTIVE, 300.0, simulated(1000.0, noise=0.2, seed=seed)) for seed in range(40)]
    rates = np.array([one.rate for one in found], dtype=float)
    assert np.all(np.abs(rates / truth(1000.0) - 1) < 0.25)
    assert abs(float(np.median(rates)) / truth(1000.0) - 1) < 0.08
    assert all(_tries_at(one, one.rate) >= 2 for one in found), "what is told has a majority, not one lucky try"


def test_one_bad_try_does_not_decide() -> None:
    """A neighbour disturbs the third try."""
    calls: list[float] = []

    def disturbed(rate: float) -> Try:
        calls.append(rate)
        p99 = 60.0 if len(calls) == 3 else (30.0 if rate < 900 else 400.0)
        return tried(rate, p99)

    found = highest_rate(OBJECTIVE, 300.0, disturbed)
    assert found.rate is not None
    assert 900 / 1.2 < found.rate < 900


def test_the_budget_ends_it_with_what_is_known() -> None:
    found = highest_rate(Objective(p99_ms=50.0, budget_s=10.0), 100.0, simulated(1000.0))
    assert [one.rate for one in found.tries] == [100.0, 150.0, 225.0]
    assert (found.rate, found.failed_at) == (225.0, None)
    assert found.ended == "the budget of 10 s was spent"


def test_no_rate_holds() -> None:
    found = highest_rate(OBJECTIVE, 100.0, lambda rate: tried(rate, 80.0))
    assert found.rate is None
    assert found.failed_at is not None
    assert found.failed_at < 2
    assert found.ended == "no rate is tried below 1 a second"


def test_a_sender_that_cannot_keep_up_is_told_apart_from_a_service_that_cannot() -> None:
    def limited(rate: float) -> Try:
        late = rate > 500
        return Try(rate=rate, p99_ms=90.0 if late else 3.0, sent_p99_ms=3.0, seconds=3.0, late="it was" if late else "")

    found = highest_rate(OBJECTIVE, 300.0, limited)
    assert found.by_sender
    assert found.rate is not None
    assert 500 / 1.1 < found.rate <= 500
    assert not highest_rate(OBJECTIVE, 300.0, simulated(1000.0)).by_sender


def test_a_sender_that_is_late_at_any_rate_ends_it() -> None:
    def late(rate: float) -> Try:
        return Try(rate=rate, p99_ms=90.0, sent_p99_ms=3.0, seconds=3.0, late="it was")

    found = highest_rate(OBJECTIVE, 300.0, late)
    assert (found.rate, found.failed_at, found.by_sender) == (None, 150.0, True)
    assert found.ended == "the sender is too late at every rate that was tried: quieten the machine"


@pytest.mark.parametrize(
    ("p99_ms", "sent_p99_ms", "holds"),
    [(40.0, 30.0, True), (60.0, 30.0, None), (60.0, 55.0, False), (None, 30.0, None), (None, None, False)],
)
def test_what_a_late_sender_still_shows(p99_ms: float | None, sent_p99_ms: float | None, holds: bool | None) -> None:
    late = Try(rate=1.0, p99_ms=p99_ms, sent_p99_ms=sent_p99_ms, seconds=1.0, late="it was")
    assert late.holds(50.0) is holds
    assert replace(late, late="").holds(50.0) is bool(holds)


def test_a_rate_that_cannot_be_tried_within_the_budget_is_not_tried() -> None:
    """A p99 needs its requests: at 2 a second, 300 of them take 150 s."""
    found = highest_rate(Objective(p99_ms=50.0, budget_s=100.0), 2.0, simulated(1000.0))
    assert (found.rate, found.failed_at, found.tries) == (None, None, ())


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"p99_ms": 0.0}, "p99_ms must be above 0"),
        ({"p99_ms": 5.0, "repeats": 2}, "repeats must be an odd number from 1"),
        ({"p99_ms": 5.0, "requests": 99}, "requests must be at least 100"),
        ({"p99_ms": 5.0, "budget_s": float("inf")}, "budget_s must be above 0"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Objective(**setting)  # type: ignore[arg-type]


def _tries_at(found: Found, rate: float | None) -> int:
    return sum(one.rate == rate for one in found.tries)
