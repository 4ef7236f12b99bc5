"""floor: an absolute floor, or a ceiling."""

import math

import pytest

from fdpipe.artifacts import Outcome
from fdpipe.evidence import Evidence
from fdpipe.gate.floor import Floor
from tests.contracts.gate import CheckContract, evaluation, evidence


class TestFloor(CheckContract):
    conf = "floor"

    def check(self) -> Floor:
        return Floor(min_quality=0.9)

    def failing(self) -> Evidence:
        return evidence(evaluation=evaluation(0.89))

    def broken(self) -> Evidence:
        return evidence(evaluation=evaluation(math.nan))

    @pytest.mark.parametrize("quality", [0.0, None])
    def test_without_a_floor_all_pass(self, quality: float | None) -> None:
        result = Floor().judge(evidence(evaluation=evaluation(quality)))
        assert (result.outcome, result.reason) == (Outcome.PASS, "no floor is set")

    def test_the_floor_itself_passes(self) -> None:
        assert self.result(evidence(evaluation=evaluation(0.9))).outcome is Outcome.PASS

    def test_a_ceiling_where_less_is_better(self) -> None:
        less = {"accuracy": False}
        assert self.result(evidence(evaluation=evaluation(0.5), directions=less)).outcome is Outcome.PASS
        result = self.result(evidence(evaluation=evaluation(0.95), directions=less))
        assert (result.outcome, result.reason) == (Outcome.FAIL, "accuracy is 0.9500, must be at most 0.9000")

    def test_without_a_metric(self) -> None:
        assert self.result(evidence(directions={})).outcome is Outcome.FAIL
