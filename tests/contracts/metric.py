"""What every metric must do."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from fdpipe import workers
from fdpipe.arrays import Batch, take
from fdpipe.interfaces import Metric, Rowwise


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

    def test_rows_have_the_score_as_their_mean(self, metric: Metric, case: Case, perfect: Case, worse: Case) -> None:
        """And lie within the bounds; of a metric that is a mean over rows."""
        if not isinstance(metric, Rowwise):
            return
        for one in (case, perfect, worse):
            figures, score = metric.of_rows(one.answers, one.labels), metric.score(one.answers, one.labels)
            assert (figures.dtype, figures.shape) == (np.dtype(np.float64), (len(one.labels),))
            assert figures.mean() == pytest.approx(score, rel=1e-12, abs=1e-15)
            assert figures.min() >= metric.bounds[0]
            assert figures.max() <= metric.bounds[1]

    def test_without_rows_there_is_no_figure(self, metric: Metric, worse: Case) -> None:
        assert math.isnan(metric.score(take(worse.answers, slice(0)), worse.labels[:0]))

    def test_labels_of_fewer_rows_have_no_figure(self, metric: Metric, worse: Case) -> None:
        assert math.isnan(metric.score(worse.answers, worse.labels[:-1]))

    def test_a_label_that_is_no_number_is_no_error(self, metric: Metric, worse: Case) -> None:
        labels = (
            worse.labels.astype(np.float64) * np.nan if worse.labels.dtype.kind in "biuf" else np.full(len(worse.labels), "")
        )
        assert not metric.score(worse.answers, labels) > 0

    def test_a_value_that_is_no_number_has_no_figure(self, metric: Metric, perfect: Case) -> None:
        assert math.isnan(metric.score({"value": np.full((len(perfect.labels), 2), "?")}, np.zeros(len(perfect.labels))))

    def test_answers_of_another_kind_have_no_figure(self, metric: Metric, perfect: Case) -> None:
        assert math.isnan(metric.score({"embedding": np.zeros((len(perfect.labels), 2, 2), np.int64)}, perfect.labels))
        if isinstance(metric, Rowwise):
            figures = metric.of_rows({"embedding": np.zeros((len(perfect.labels), 2, 2), np.int64)}, perfect.labels)
            assert np.isnan(figures).all()
