"""How long a call is going to take, and how long it pays to wait for another request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdpipe.artifacts import Cost
from fdpipe.serving.pace import Pace


def test_it_follows_what_calls_take() -> None:
    pace = Pace(Cost(call_ms=2, row_ms=1))
    assert (pace.ms(3), pace.ms(6, calls=2)) == (5, 10)
    for _ in range(100):
        pace.note(3, 10.0)
    assert pace.ms(3) == pytest.approx(10, rel=0.01)
    assert pace.least_ms(3) == 5


def test_one_call_that_was_held_up_changes_little() -> None:
    pace = Pace(Cost(call_ms=1, row_ms=0))
    pace.note(1, 10_000.0)
    assert pace.ms(1) == pytest.approx(1.3)


def test_the_first_call_tells_where_nothing_was_measured() -> None:
    pace = Pace(None)
    assert not pace.is_known
    pace.note(8, 50.0)
    assert (pace.is_known, pace.ms(1)) == (True, 50.0)


@given(call_ms=st.floats(0.01, 100), row_ms=st.floats(0, 10), requests=st.integers(1, 20), gap_share=st.floats(0, 3))
def test_patience_is_where_waiting_and_not_waiting_cost_the_same(
    call_ms: float, row_ms: float, requests: int, gap_share: float
) -> None:
    """The sum of all waiting times, of requests of one row and of one more after a gap, simulated both ways."""
    pace = Pace(Cost(call_ms=call_ms, row_ms=row_ms))
    patience = pace.patience_ms(requests, requests)
    gap = min(gap_share * patience, pace.ms(requests)) if patience > 0 else 0.0
    at_once = requests * pace.ms(requests) + (pace.ms(requests) - gap) + pace.ms(1)
    together = requests * gap + (requests + 1) * pace.ms(requests + 1)
    difference = (requests + 1) * (patience - gap)
    assert at_once - together == pytest.approx(difference, abs=1e-6 * (1 + at_once))
