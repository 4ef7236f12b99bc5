"""The overlap of nearest neighbours."""

import numpy as np
import pytest

from fdpipe.metric.neighbours import Neighbours
from tests.contracts.metric import Case, MetricContract


def circle(*degrees: float) -> np.ndarray:
    """Vectors in these directions, each of another length."""
    angles = np.radians(degrees)
    lengths = np.arange(1.0, len(degrees) + 1)[:, None]
    return np.asarray(np.stack([np.cos(angles), np.sin(angles)], axis=1) * lengths)


ORIGINAL = circle(0, 10, 25, 45, 70, 100)
MOVED = circle(0, 10, 25, 62, 70, 100)
# With two neighbours each, by hand. Before: 0→{10,25} 10→{0,25} 25→{10,45} 45→{25,70} 70→{45,100} 100→{70,45}.
# After: 25→{10,0} and 62→{70,25 (37°)}, which is before 100 (38°); 70→{62,100}; 100→{70,62}. Only the row at 25° differs.
OVERLAP = 11 / 12


class TestNeighbours(MetricContract):
    metric = Neighbours(k=2)
    known = (
        Case(answers={"embedding": MOVED.astype(np.float32)}, labels=ORIGINAL, figure=OVERLAP),
        Case(answers={"y": ORIGINAL * 3}, labels=ORIGINAL, figure=1.0),
    )
    without = tuple(Case(answers={"y": one}, labels=one) for one in (ORIGINAL[:, 0], ORIGINAL[:3]))
    perfect = Case(answers={"embedding": ORIGINAL}, labels=ORIGINAL, figure=1.0)
    worse = Case(answers={"embedding": MOVED}, labels=ORIGINAL, figure=OVERLAP)


def test_many_queries_are_asked_in_parts() -> None:
    random = np.random.default_rng(3)
    original = random.normal(size=(1500, 8))
    found = original + random.normal(size=original.shape) * 0.1
    similar = [rows @ rows.T for rows in (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (original, found))]
    nearest = [np.argsort(-(one - 4 * np.eye(len(one))), axis=1)[:, :5] for one in similar]
    wanted = np.mean([len(set(one) & set(other)) for one, other in zip(*nearest, strict=True)]) / 5
    assert Neighbours(k=5).score({"y": found}, original) == pytest.approx(wanted)
    assert 0.5 < wanted < 0.99


def test_of_equally_near_ones_the_first() -> None:
    """All are alike before."""
    original, found = np.ones((4, 2)), circle(0, 10, 21, 45)
    # Before: 1 2, 0 2, 0 1, 0 1. After: 1 2, 0 2, 1 0, 2 1.
    assert Neighbours(k=2).of_rows({"y": found}, original).tolist() == [1.0, 1.0, 1.0, 0.5]


def test_ranges() -> None:
    with pytest.raises(ValueError, match="k must be at least 1"):
        Neighbours(k=0)
