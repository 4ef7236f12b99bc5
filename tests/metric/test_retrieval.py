"""The overlap of the nearest documents of some rows."""

import math

import numpy as np
import pytest

from fdpipe.metric.retrieval import Retrieval
from tests.contracts.metric import Case, MetricContract


def circle(*degrees: float) -> np.ndarray:
    """Vectors of length 1 in these directions."""
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)


DOCUMENTS = (0, 30, 60, 90)
ORIGINAL = circle(*DOCUMENTS, 10, 80)
MOVED = circle(*DOCUMENTS, 20, 50)
# 10→{0,30} and 80→{90,60} before; 20→{30,0} and 50→{60,30} after. Queries that lie side by side are no documents.
KEPT = 3 / 4


class TestRetrieval(MetricContract):
    metric = Retrieval(k=2, queries=2)
    known = (Case(answers={"embedding": MOVED.astype(np.float32)}, labels=ORIGINAL, figure=KEPT),)
    perfect = Case(answers={"embedding": ORIGINAL * 3}, labels=ORIGINAL, figure=1.0)
    worse = Case(answers={"embedding": MOVED}, labels=ORIGINAL, figure=KEPT)

    def test_the_order_of_rows_does_not_matter(self) -> None:
        """But for which of them ask."""
        assert self.score(self.worse.rows(np.array([3, 1, 0, 2, 5, 4]))) == pytest.approx(KEPT)


def test_a_document_has_nothing_to_lose() -> None:
    assert Retrieval(k=2, queries=2).of_rows({"y": MOVED}, ORIGINAL) == pytest.approx([0, 0, 0, 0, 3, 1.5])


@pytest.mark.parametrize("metric", [Retrieval(k=4, queries=2), Retrieval(k=1, queries=6), Retrieval(k=1, queries=9)])
def test_too_few_documents_have_no_figure(metric: Retrieval) -> None:
    assert math.isnan(metric.score({"y": MOVED}, ORIGINAL))


@pytest.mark.parametrize(("settings", "field"), [({"k": 0}, "k"), ({"queries": 0}, "queries")])
def test_ranges(settings: dict[str, int], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        Retrieval(**settings)
