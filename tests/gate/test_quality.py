"""quality: non-inferiority to the original, in either direction, of every metric."""

import math
from dataclasses import replace

import numpy as np
import pytest

from fdpipe import workers
from fdpipe.artifacts import Outcome
from fdpipe.errors import ConfigError
from fdpipe.evidence import Evidence, Paired
from fdpipe.gate.loss import Drop
from fdpipe.gate.quality import Quality
from fdpipe.interfaces import Metric
from fdpipe.metric.accuracy import Accuracy
from fdpipe.metric.f1 import F1
from fdpipe.metric.rmse import Rmse
from tests.contracts.gate import CheckContract, evaluation, evidence
from tests.gate.pairs import judged, labels, values


def errors(rows: int, grown: float) -> Evidence:
    """A regressor whose errors are `grown` times the original's."""
    random = np.random.default_rng(0)
    truth, error = random.normal(0, 2, rows), random.normal(0, 1, rows)
    return judged(values(truth + error, truth + grown * error, truth), {"rmse": Rmse()})


class TestQuality(CheckContract):
    conf = "quality"

    def check(self) -> Quality:
        return Quality(max_drop=0.01)

    def passing(self) -> Evidence:
        return judged(labels(0, 0, 299))

    def failing(self) -> Evidence:
        return judged(labels(40, 0, 719))

    def broken(self) -> Evidence:
        return replace(self.passing(), evaluation=evaluation(None, 0.97, rows=299))

    @pytest.mark.parametrize("quality", [math.nan, math.inf, None])
    @pytest.mark.parametrize("max_drop", [0.01, 100.0])
    def test_no_figure_fails_with_any_limit(self, quality: float | None, max_drop: float) -> None:
        for after, before in ((quality, 0.97), (0.97, quality)):
            found = replace(self.passing(), evaluation=evaluation(after, before, rows=299))
            assert Quality(max_drop=max_drop).judge(found).outcome is Outcome.FAIL

    def test_no_metric_fails(self) -> None:
        assert self.result(evidence(directions={})).outcome is Outcome.FAIL

    def test_no_answers_row_by_row_fail(self) -> None:
        result = self.result(replace(self.passing(), beside_original=None))
        assert result.outcome is Outcome.FAIL
        assert result.reason.endswith("there are no answers row by row")

    def test_another_number_of_rows_fails(self) -> None:
        fewer = replace(self.passing(), beside_original=labels(0, 0, 298))
        result = self.result(fewer)
        assert result.outcome is Outcome.FAIL
        assert result.reason.endswith("the answers are not those of the rows evaluated")
        paired = labels(0, 0, 299)
        assert (
            self.result(replace(self.passing(), beside_original=replace(paired, labels=np.ones(300)))).outcome is Outcome.FAIL
        )

    @pytest.mark.parametrize("metrics", [{}, {"f1": F1()}])
    def test_an_unknown_metric_fails(self, metrics: dict[str, Metric]) -> None:
        result = self.result(replace(self.passing(), metrics=metrics))
        assert result.outcome is Outcome.FAIL
        assert result.reason.endswith("there is no metric of this name")

    def test_a_fraction_of_nothing_is_not_concluded(self) -> None:
        """No row was right before: what then is one in a hundred of it?"""
        none_right = judged(labels(0, 0, 700, wrong=700))
        result = Quality(drop=Drop.RELATIVE).judge(none_right)
        assert (result.outcome, result.figure, result.needed) == (Outcome.INCONCLUSIVE, None, None)
        assert result.reason == (
            "accuracy cannot be compared (0.0000 → 0.0000): a fraction of 0 is undefined: gate.drop=absolute says what may be "
            "lost in its own unit"
        )
        assert Quality().judge(none_right).outcome is Outcome.PASS

    def test_the_exact_p_value_of_labels_is_among_the_findings(self) -> None:
        """McNemar: 5 lost, none gained."""
        (found,) = self.result(judged(labels(5, 0, 719))).findings
        assert found.p_value == pytest.approx(2 * 0.5**5)
        (other,) = self.result(errors(100, 1.1)).findings
        assert other.p_value is None

    def test_too_few_rows_are_inconclusive_and_say_how_many_would_do(self) -> None:
        result = self.result(judged(labels(0, 0, 298)))
        assert (result.outcome, result.needed) == (Outcome.INCONCLUSIVE, 299)
        assert result.reason.endswith("at 95 % at most 0.0100; at most 0.0100 is allowed")

    def test_the_sentences(self) -> None:
        undecided = self.result(judged(labels(5, 2, 719)))
        assert undecided.reason.startswith("lost 0.0042 accuracy (0.9694 → 0.9652), at 95 % at most 0.0")
        assert undecided.needed is not None
        assert undecided.needed > 719
        result = self.result(self.failing())
        assert result.reason.startswith("lost 0.0556 accuracy (0.9722 → 0.9166), at 95 % at least 0.04")
        assert result.figure == pytest.approx(40 / 719)

    def test_what_is_implausibly_better_is_anomalous(self) -> None:
        leaked = judged(labels(0, 100, 500))
        result = self.result(leaked)
        assert result.outcome is Outcome.ANOMALOUS
        assert result.reason.startswith("gained 0.2000 accuracy (0.7600 → 0.9600), at 95 % a gain of at least 0.1")
        assert Quality(implausible_gain=None).judge(leaked).outcome is Outcome.PASS
        assert Quality(max_drop=-0.15).judge(leaked).outcome is Outcome.PASS, "it was asked to gain that much"

    def test_implausible_is_a_fraction_of_what_has_no_bounds(self) -> None:
        assert self.result(errors(1000, 0.5)).outcome is Outcome.ANOMALOUS
        assert Quality(max_drop=0.02, drop=Drop.RELATIVE).judge(errors(1000, 0.98)).outcome is Outcome.PASS

    def test_a_negative_limit_demands_a_gain(self) -> None:
        demanding = Quality(max_drop=-0.02)
        assert demanding.judge(judged(labels(0, 30, 700))).outcome is Outcome.PASS
        result = demanding.judge(judged(labels(5, 5, 700)))
        assert result.outcome is Outcome.FAIL
        assert result.reason.endswith("; must gain 0.0200")

    def test_less_may_be_better(self) -> None:
        relative = Quality(max_drop=0.05, drop=Drop.RELATIVE)
        result = relative.judge(errors(1000, 1.2))
        assert result.outcome is Outcome.FAIL
        assert result.reason.startswith("lost 20.00% of rmse (")
        assert relative.judge(errors(1000, 1.01)).outcome is Outcome.PASS

    def test_relative_to_a_label_that_is_seldom_right(self) -> None:
        """A tenth of the rows is right, and a hundredth of that is a thousandth of the rows."""
        seldom = judged(labels(0, 0, 700, wrong=630))
        assert Quality(max_drop=0.01).judge(seldom).outcome is Outcome.PASS
        result = Quality(max_drop=0.01, drop=Drop.RELATIVE).judge(seldom)
        assert (result.outcome, result.needed) == (Outcome.INCONCLUSIVE, 2995)

    def test_the_worst_metric_decides_and_all_are_told(self) -> None:
        """Two rows of a class that has ten: nothing for accuracy, much for F1, which counts each class alike."""
        truth = np.repeat([1, 0], [990, 10])
        after = np.repeat([1, 0, 1], [990, 8, 2])
        paired = Paired(before={"label": truth}, after={"label": after}, labels=truth, own=truth)
        result = self.result(judged(paired, {"accuracy": Accuracy(), "f1": F1()}))
        assert result.outcome is Outcome.INCONCLUSIVE
        assert [(one.name, one.outcome) for one in result.findings] == [
            ("f1", Outcome.INCONCLUSIVE), ("accuracy", Outcome.PASS),
        ]  # fmt: skip
        assert result.unit == "f1"
        assert all(one.low is not None and one.rows == 1000 for one in result.findings)

    def test_agreement_stands_for_labels(self) -> None:
        def agreeing(share: float) -> Evidence:
            found = replace(evaluation(rows=700), quality={"agreement": share}, reference={"agreement": 1.0})
            return replace(self.passing(), evaluation=found, directions={"agreement": True}, metrics={})

        assert self.result(agreeing(1.0)).outcome is Outcome.PASS
        assert self.result(agreeing(1 - 5 / 700)).outcome is Outcome.INCONCLUSIVE
        assert self.result(agreeing(0.95)).outcome is Outcome.FAIL

    @pytest.mark.parametrize(
        ("setting", "value", "said"),
        [
            ("max_drop", math.nan, "max_drop must be a finite number"),
            ("max_drop", math.inf, "max_drop must be a finite number"),
            ("alpha", 0.5, "alpha must be above 0 and below 0.5"),
            ("implausible_gain", 0.0, "implausible_gain must be above 0"),
        ],
    )
    def test_the_settings_are_checked(self, setting: str, value: float, said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            workers.build("gate", {"_target_": "fdpipe.gate.quality.Quality", setting: value})
