"""Many hypotheses at once."""

from collections.abc import Callable, Mapping

import numpy as np

from fdpipe.statistics.holm import refuted


def by(p_values: Mapping[str, float]) -> Callable[[str, float], float | None]:
    """Refutes what has a p-value of at most the level, and says the level."""
    return lambda case, level: level if p_values[case] <= level else None


def test_each_that_is_refuted_leaves_more_to_the_others() -> None:
    p_values = {"a": 0.012, "b": 0.02, "c": 0.06, "d": 0.001}
    assert refuted(p_values, 4, 0.05, by(p_values)) == {"a": 0.0125, "b": 0.025, "d": 0.0125}


def test_it_stops_where_nothing_more_is_refuted() -> None:
    p_values = {"a": 0.02, "b": 0.02}
    assert refuted(p_values, 4, 0.05, by(p_values)) == {}
    assert refuted([], 4, 0.05, by({})) == {}


def test_it_does_what_the_sorted_p_values_say() -> None:
    """Against Holm's own description: the smallest first, each at alpha / those that are left, until one is not refuted."""
    random = np.random.default_rng(0)
    for _ in range(200):
        p_values = {str(number): float(random.beta(0.3, 3)) for number in range(8)}
        wanted: set[str] = set()
        for rank, case in enumerate(sorted(p_values, key=p_values.__getitem__)):
            if p_values[case] > 0.05 / (8 - rank):
                break
            wanted.add(case)
        suspects = [case for case, value in p_values.items() if value <= 0.05]
        assert set(refuted(suspects, 8, 0.05, by(p_values))) == wanted
