"""The histogram that grows its range."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdpipe.calibrator._histogram import Histogram, histogram

FLOATS = st.floats(-(2.0**60), 2.0**60, width=32).map(lambda value: value if abs(value) > 2.0**-50 else 0.0)
"""Without those so near to 0 that their product with a scale may be 0."""

PARTS = st.lists(st.lists(FLOATS, min_size=1, max_size=50), min_size=1, max_size=6)


def same(one: Histogram, other: Histogram) -> bool:
    figures = ((item.low, item.high, item.exponent, item.zeros) for item in (one, other))
    return len({*figures}) == 1 and np.array_equal(one.counts, other.counts)


@settings(max_examples=200, deadline=None)
@given(PARTS)
def test_a_sum_is_exactly_that_of_all_values_together(parts: list[list[float]]) -> None:
    arrays = [np.array(part, np.float32) for part in parts]
    whole = histogram(np.concatenate(arrays), 1024)
    for order in (arrays, arrays[::-1]):
        found = histogram(order[0], 1024)
        for array in order[1:]:
            found += histogram(array, 1024)
        assert same(found, whole)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=300))
def test_equals_that_of_numpy(values: list[float]) -> None:
    array = np.array(values, np.float32)
    found = histogram(array, 1024)
    tiny = np.abs(array) < found.width  # which may lie nearer to 0 than numpy tells apart from it
    wanted = np.histogram(array[~tiny].astype(np.float64), bins=found.edges)[0]
    counts = found.counts.copy()
    assert counts[511:513].sum() >= tiny.sum()
    np.testing.assert_array_equal(np.delete(counts, [511, 512]), np.delete(wanted, [511, 512]))
    assert counts.sum() == len(array)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_many_values_of_each_type(dtype: type) -> None:
    array: np.ndarray = np.random.default_rng(0).normal(size=200_000).astype(dtype)
    array[:1000] = 0
    found = histogram(array, 8192)
    assert found.counts.sum() == 200_000
    assert found.zeros == np.sum(array == 0)
    assert (found.low, found.high) == (array.min(), array.max())
    assert np.max(np.abs(array)) < 2.0**found.exponent <= 2 * np.max(np.abs(array))
    assert found.width == 2.0**found.exponent / 4096
