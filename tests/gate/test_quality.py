"""quality: loss against the original, in either direction, of the worst metric."""

import math
from dataclasses import replace

import pytest

from fdpipe import workers
from fdpipe.artifacts import Outcome
from fdpipe.errors import ConfigError
from fdpipe.gate.loss import Drop
from fdpipe.gate.quality import Quality
from fdpipe.interfaces import Evidence
from tests.contracts.gate import CheckContract, evaluation, evidence


def figures(quality: float | None, reference: float | None, higher: bool = True) -> Evidence:
    return evidence(evaluation=evaluation(quality, reference), directions={"accuracy": higher})


class TestQuality(CheckContract):
    conf = "quality"

    def check(self) -> Quality:
        return Quality(max_drop=0.01)

    def failing(self) -> Evidence:
        return figures(0.95, 0.97)

    def broken(self) -> Evidence:
        return figures(None, 0.97)

    def test_exactly_the_limit_passes(self) -> None:
        assert self.result(figures(0.96, 0.97)).outcome is Outcome.PASS
        assert self.result(figures(0.9599, 0.97)).outcome is Outcome.FAIL

    def test_less_may_be_better(self) -> None:
        assert self.result(figures(0.95, 0.97, higher=False)).outcome is Outcome.PASS
        assert self.result(figures(0.99, 0.97, higher=False)).outcome is Outcome.FAIL

    @pytest.mark.parametrize("quality", [math.nan, math.inf, None])
    @pytest.mark.parametrize("max_drop", [0.01, 100.0])
    def test_no_figure_fails_with_any_limit(self, quality: float | None, max_drop: float) -> None:
        for found in (figures(quality, 0.97), figures(0.97, quality)):
            assert Quality(max_drop=max_drop).judge(found).outcome is Outcome.FAIL

    def test_no_metric_fails(self) -> None:
        assert self.result(evidence(directions={})).outcome is Outcome.FAIL

    def test_a_negative_limit_demands_a_gain(self) -> None:
        demanding = Quality(max_drop=-0.02)
        assert demanding.judge(figures(0.99, 0.97)).outcome is Outcome.PASS
        result = demanding.judge(figures(0.97, 0.97))
        assert result.outcome is Outcome.FAIL
        assert result.reason == "lost 0.0000 accuracy (0.9700 → 0.9700), must gain 0.0200"

    def test_the_sentence(self) -> None:
        result = self.result(self.failing())
        assert result.reason == "lost 0.0200 accuracy (0.9700 → 0.9500), at most 0.0100 is allowed"
        assert result.figure == pytest.approx(0.02)

    def test_relative(self) -> None:
        relative = Quality(max_drop=0.05, drop=Drop.RELATIVE)
        assert relative.judge(figures(52.0, 50.0, higher=False)).outcome is Outcome.PASS
        result = relative.judge(figures(60.0, 50.0, higher=False))
        assert result.outcome is Outcome.FAIL
        assert result.reason == "lost 20.00% of accuracy (50.0000 → 60.0000), at most 5.00% is allowed"

    def test_relative_to_nothing(self) -> None:
        relative = Quality(max_drop=0.5, drop=Drop.RELATIVE)
        assert relative.judge(figures(0.0, 0.0, higher=False)).outcome is Outcome.PASS
        assert relative.judge(figures(0.1, 0.0, higher=False)).outcome is Outcome.FAIL

    def test_the_worst_metric_is_told(self) -> None:
        both = replace(evaluation(), quality={"accuracy": 0.97, "f1": 0.5}, reference={"accuracy": 0.97, "f1": 0.9})
        result = self.result(evidence(evaluation=both, directions={"accuracy": True, "f1": True}))
        assert result.outcome is Outcome.FAIL
        assert "f1" in result.reason

    @pytest.mark.parametrize("max_drop", [math.nan, math.inf])
    def test_the_limit_is_a_number(self, max_drop: float) -> None:
        with pytest.raises(ConfigError, match="max_drop must be a finite number"):
            workers.build("gate", {"_target_": "fdpipe.gate.quality.Quality", "max_drop": max_drop})
