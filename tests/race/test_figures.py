"""Figures of a course."""

import numpy as np

from fdpipe.race.figures import CALLS_FOR_P999, percentiles


def test_rare_slowness_is_told_only_of_many_calls() -> None:
    calls = np.arange(CALLS_FOR_P999, dtype=np.float64) * 1e6
    p50, p90, p99, p999 = percentiles(calls)
    assert p999 is not None
    assert p50 < p90 < p99 < p999 < calls.max() / 1e6
    assert percentiles(calls[1:])[3] is None
