"""speed: slower than the baseline is what is surely slower."""

import pytest

from fdpipe import workers
from fdpipe.artifacts import Interval, Outcome
from fdpipe.errors import ConfigError
from fdpipe.gate.speed import Speed
from fdpipe.interfaces import Evidence
from tests.contracts.gate import CheckContract, evidence, measured, measurement, ratio


def speeds(*ratios: Interval | None) -> Evidence:
    return evidence(measured=measured(measurement("rt/int8", *ratios)))


class TestSpeed(CheckContract):
    conf = "speed"

    def check(self) -> Speed:
        return Speed()

    def failing(self) -> Evidence:
        return speeds(ratio(0.5), ratio(1.2))

    def broken(self) -> Evidence:
        return speeds(ratio(0.5), None)

    def test_an_unmeasured_candidate_fails(self) -> None:
        assert self.result(evidence(measured=measured())).outcome is Outcome.FAIL
        assert self.result(speeds()).outcome is Outcome.FAIL

    def test_only_the_lower_end_counts(self) -> None:
        assert self.result(speeds(Interval(low=1.03, middle=1.3, high=2.0))).outcome is Outcome.PASS
        assert self.result(speeds(Interval(low=1.031, middle=1.3, high=2.0))).outcome is Outcome.FAIL

    def test_the_worst_batch_size_is_told(self) -> None:
        result = self.result(self.failing())
        assert result.reason == "takes 1.200 (1.188–1.212) of the baseline's time at batch 2, at most 1.03 is allowed"
        assert result.figure == pytest.approx(1.188)

    def test_the_baseline_is_exempt(self) -> None:
        assert self.result(evidence(is_baseline=True, measured=measured())).outcome is Outcome.PASS

    def test_the_limit_is_a_ratio(self) -> None:
        with pytest.raises(ConfigError, match="slower_above"):
            workers.build("gate", {"_target_": "fdpipe.gate.speed.Speed", "slower_above": 0})
