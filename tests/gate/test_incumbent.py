"""incumbent: nothing worse than what is deployed."""

from dataclasses import replace

import pytest

from fdpipe.artifacts import Outcome
from fdpipe.evidence import Evidence
from fdpipe.gate.incumbent import Incumbent
from fdpipe.gate.loss import Drop
from tests.contracts.gate import CheckContract, evaluation, evidence
from tests.gate.pairs import judged, labels


def deployed(lost: int, gained: int, rows: int = 719) -> Evidence:
    return judged(labels(lost, gained, rows), against="incumbent")


class TestIncumbent(CheckContract):
    conf = "incumbent"

    def check(self) -> Incumbent:
        return Incumbent()

    def passing(self) -> Evidence:
        return deployed(0, 0)

    def failing(self) -> Evidence:
        return deployed(40, 0)

    def broken(self) -> Evidence:
        return replace(deployed(0, 0), incumbent=evaluation(None, rows=719))

    def test_a_first_deployment_passes(self) -> None:
        result = self.result(evidence())
        assert (result.outcome, result.reason) == (Outcome.PASS, "nothing is deployed yet")

    def test_the_incumbent_is_named(self) -> None:
        reason = self.result(self.failing()).reason
        assert reason.startswith("lost 0.0556 accuracy (0.9722 → 0.9166)")
        assert reason.endswith("against the deployed release 0123456789ab")

    def test_a_better_model_is_no_anomaly(self) -> None:
        assert self.result(deployed(0, 200)).outcome is Outcome.PASS

    def test_no_rows_prove_that_nothing_is_lost(self) -> None:
        result = Incumbent(max_drop=0.0).judge(self.passing())
        assert (result.outcome, result.needed) == (Outcome.INCONCLUSIVE, None)
        assert "no number of rows would decide it" in result.reason

    def test_other_rows_than_those_evaluated_fail(self) -> None:
        assert self.result(replace(self.passing(), beside_incumbent=labels(0, 0, 700))).outcome is Outcome.FAIL

    def test_a_fraction_of_nothing_is_not_concluded(self) -> None:
        wrong = judged(labels(0, 0, 700, wrong=700), against="incumbent")
        result = Incumbent(drop=Drop.RELATIVE).judge(wrong)
        assert result.outcome is Outcome.INCONCLUSIVE
        assert "a fraction of 0 is undefined: gate.drop=absolute says" in result.reason
        assert result.reason.endswith("against the deployed release 0123456789ab")

    @pytest.mark.parametrize("drop", Drop)
    def test_a_release_that_agrees_with_nothing_can_only_be_bettered(self, drop: Drop) -> None:
        found = replace(evaluation(rows=700), quality={"agreement": 0.5}, reference={"agreement": 1.0})
        release = replace(found, quality={"agreement": 0.0})
        one = replace(self.passing(), evaluation=found, incumbent=release, directions={"agreement": True}, metrics={})
        wanted = Outcome.PASS if drop is Drop.ABSOLUTE else Outcome.INCONCLUSIVE
        assert Incumbent(drop=drop).judge(one).outcome is wanted

    def test_without_labels_by_agreement_with_the_original(self) -> None:
        def agreeing(candidate: float, incumbent: float) -> Outcome:
            found = replace(evaluation(rows=700), quality={"agreement": candidate}, reference={"agreement": 1.0})
            release = replace(found, quality={"agreement": incumbent})
            one = replace(self.passing(), evaluation=found, incumbent=release, directions={"agreement": True}, metrics={})
            return self.result(one).outcome

        assert agreeing(0.999, 0.998) is Outcome.PASS
        assert agreeing(0.95, 1.0) is Outcome.FAIL
