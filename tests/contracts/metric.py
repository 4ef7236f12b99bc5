"""What every metric must do."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from fdpipe import workers
from fdpipe.arrays import Batch
from fdpipe.interfaces import Metric


@dataclass(frozen=True, kw_only=True)
class Case:
    """Answers and labels with a figure that is known by other means."""

    answers: Batch
    labels: np.ndarray
    figure: float


class MetricContract:
    """Inherit it, with the fixtures `metric` and `case` (several, if you like), and `perfect` and `worse` answers to the same
    labels."""

    @pytest.fixture
    def perfect(self) -> Case:
        raise NotImplementedError

    @pytest.fixture
    def worse(self) -> Case:
        raise NotImplementedError

    def test_is_made_again_from_its_settings(self, metric: Metric) -> None:
        assert workers.build("metric", workers.describe(metric)) == metric

    def test_states_direction_unit_and_need(self, metric: Metric) -> None:
        assert isinstance(metric.higher_is_better, bool)
        assert isinstance(metric.needs_labels, bool)
        assert isinstance(metric.unit, str)

    def test_has_the_known_figure(self, metric: Metric, case: Case) -> None:
        found = metric.score(case.answers, case.labels)
        assert type(found) is float
        assert found == pytest.approx(case.figure)

    def test_perfect_answers_are_better(self, metric: Metric, perfect: Case, worse: Case) -> None:
        best, other = (metric.score(one.answers, one.labels) for one in (perfect, worse))
        assert (best > other) if metric.higher_is_better else (best < other)

    def test_the_order_of_rows_does_not_matter(self, metric: Metric, worse: Case) -> None:
        order = np.random.default_rng(0).permutation(len(worse.labels))
        shuffled = {name: array[order] for name, array in worse.answers.items()}
        assert metric.score(shuffled, worse.labels[order]) == pytest.approx(metric.score(worse.answers, worse.labels))

    def test_answers_of_another_kind_have_no_figure(self, metric: Metric, perfect: Case) -> None:
        assert math.isnan(metric.score({"embedding": np.zeros((len(perfect.labels), 2, 2), np.int64)}, perfect.labels))
