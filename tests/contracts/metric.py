"""What every metric must do."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from fdpipe import workers
from fdpipe.arrays import Batch, take
from fdpipe.interfaces import Metric, Rowwise
from tests.contracts.settings import built


@dataclass(frozen=True, kw_only=True)
class Case:
    """Answers and labels with a figure that is known by other means; NaN where there is none."""

    answers: Batch
    labels: np.ndarray
    figure: float = math.nan

    def rows(self, chosen: slice | np.ndarray) -> "Case":
        """Only these rows of both."""
        return Case(answers=take(self.answers, chosen), labels=self.labels[chosen], figure=self.figure)


class MetricContract:
    """Inherit it, with the `metric`; `known` cases with their figures; answers that have none, `without`; and `perfect` and
    `worse` answers to the same labels. What is asked here of each metric need not be asked again beside it."""

    metric: ClassVar[Metric]
    known: ClassVar[tuple[Case, ...]]
    without: ClassVar[tuple[Case, ...]] = ()
    perfect: ClassVar[Case]
    worse: ClassVar[Case]

    def score(self, one: Case) -> float:
        """The metric's figure."""
        return self.metric.score(one.answers, one.labels)

    def test_is_made_again_from_its_settings(self) -> None:
        assert workers.build("metric", workers.describe(self.metric)) == self.metric

    def test_its_file_builds_it_as_it_is_without_settings(self) -> None:
        kind = type(self.metric)
        assert built("metric", kind.__module__.rpartition(".")[2]) == kind()

    def test_states_direction_unit_and_need(self) -> None:
        assert isinstance(self.metric.higher_is_better, bool)
        assert isinstance(self.metric.needs_labels, bool)
        assert isinstance(self.metric.unit, str)

    def test_has_the_known_figures(self) -> None:
        found = [self.score(one) for one in self.known]
        assert found == [pytest.approx(one.figure) for one in self.known]
        assert {type(figure) for figure in found} == {float}

    def test_perfect_answers_are_better(self) -> None:
        best, other = self.score(self.perfect), self.score(self.worse)
        assert (best > other) if self.metric.higher_is_better else (best < other)

    def test_the_order_of_rows_does_not_matter(self) -> None:
        order = np.random.default_rng(0).permutation(len(self.worse.labels))
        assert self.score(self.worse.rows(order)) == pytest.approx(self.score(self.worse))

    def test_rows_have_the_score_as_their_mean(self) -> None:
        """And lie within the bounds; of a metric that is a mean over rows."""
        if not isinstance(self.metric, Rowwise):
            return
        for one in (*self.known, self.perfect, self.worse):
            figures = self.metric.of_rows(one.answers, one.labels)
            assert (figures.dtype, figures.shape) == (np.dtype(np.float64), (len(one.labels),))
            assert figures.mean() == pytest.approx(self.score(one), rel=1e-12, abs=1e-15)
            assert figures.min() >= self.metric.bounds[0]
            assert figures.max() <= self.metric.bounds[1]

    def test_what_it_cannot_judge_has_no_figure(self) -> None:
        """That which is its own; no rows, answers or labels of fewer rows, texts for values, and answers of another kind."""
        count, worse = len(self.perfect.labels), self.worse
        every = (
            *self.without,
            worse.rows(slice(0)),
            Case(answers=worse.answers, labels=worse.labels[:-1]),
            Case(answers=take(worse.answers, slice(0, -1)), labels=worse.labels),
            Case(answers={"value": np.full((count, 2), "?")}, labels=np.zeros(count)),
            Case(answers={"embedding": np.zeros((count, 2, 2), np.int64)}, labels=self.perfect.labels),
        )
        assert [at for at, one in enumerate(every) if not math.isnan(self.score(one))] == []

    @pytest.mark.parametrize("strange", [np.nan, np.inf])
    def test_an_answer_that_is_not_finite_has_no_finite_figure(self, strange: float) -> None:
        """Of a metric that is asked for figures: one of them is spoiled, and then all."""
        if any(array.dtype.kind != "f" for array in self.worse.answers.values()):
            return
        for last in (1, None):
            spoiled = {name: array.copy() for name, array in self.worse.answers.items()}
            for array in spoiled.values():
                array.reshape(-1)[:last] = strange
            assert not math.isfinite(self.score(Case(answers=spoiled, labels=self.worse.labels)))

    def test_texts_beside_figures_have_no_figure(self) -> None:
        """A class may have a name, a value has none."""
        if set(self.worse.answers) == {"value"}:
            texts = np.full(self.worse.labels.shape, "?")
            assert math.isnan(self.score(Case(answers=self.worse.answers, labels=texts)))

    def test_a_label_that_is_no_number_is_no_error(self) -> None:
        labels = self.worse.labels
        strange = labels.astype(np.float64) * np.nan if labels.dtype.kind in "biuf" else np.full(len(labels), "")
        assert not self.score(Case(answers=self.worse.answers, labels=strange)) > 0

    def test_rows_of_another_kind_have_no_figures(self) -> None:
        if isinstance(self.metric, Rowwise):
            rows = len(self.perfect.labels)
            figures = self.metric.of_rows({"embedding": np.zeros((rows, 2, 2), np.int64)}, self.perfect.labels)
            assert np.isnan(figures).all()
