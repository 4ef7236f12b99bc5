"""What a race keeps of its blocks."""

import numpy as np
import pytest

from fdpipe.race.sitting import FEWEST_QUIET, Race


def race(disturbed: np.ndarray) -> Race:
    """Twice the first's time, but four times where it was disturbed."""
    first = np.full((len(disturbed), 4), 100.0)
    second = np.where(disturbed, 400.0, 200.0)[:, None] * np.ones((1, 4))
    second[:, 0] = 9_000  # one slow call of a block is nothing
    return Race(
        calls={0: first, 1: second},
        processor_ns={0: 0.0, 1: 0.0},
        disturbed={0: np.zeros(len(disturbed), dtype=bool), 1: disturbed},
    )


def test_disturbed_blocks_do_not_count_where_enough_are_quiet() -> None:
    disturbed = np.arange(10) >= FEWEST_QUIET
    assert race(disturbed).logs(1) == pytest.approx([np.log(2)] * FEWEST_QUIET)
    few = np.arange(10) >= FEWEST_QUIET - 1
    assert len(race(few).logs(1)) == 10


def test_a_block_counts_only_where_the_first_was_quiet_too() -> None:
    one = race(np.zeros(8, dtype=bool))
    one.disturbed[0][:3] = True
    assert len(one.logs(1)) == 5


def test_the_slowest_is_by_its_typical_call() -> None:
    assert race(np.zeros(4, dtype=bool)).slowest_ns == 200
