"""worst_class: the worst class decides, and small ones do not count."""

import numpy as np
import pytest
from workers.metric.worst_class import WorstClass

LABELS = np.repeat([0, 1, 2], [10, 10, 2])


def test_the_worst_class_decides() -> None:
    """Half of class 1 is missed, all of class 0 is found."""
    answers = {"label": np.array([0] * 10 + [1] * 5 + [0] * 5 + [0] * 2)}
    assert WorstClass().score(answers, LABELS) == 0.5


def test_small_classes_count_when_asked() -> None:
    """Class 2 has two rows, both missed."""
    answers = {"label": np.array([0] * 10 + [1] * 10 + [0] * 2)}
    assert WorstClass(min_rows=2).score(answers, LABELS) == 0.0
    assert WorstClass().score(answers, LABELS) == 1.0


def test_its_range_is_checked() -> None:
    """A limit of no rows makes no sense."""
    with pytest.raises(ValueError, match="min_rows"):
        WorstClass(min_rows=0)
