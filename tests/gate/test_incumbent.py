"""incumbent: nothing worse than what is deployed."""

from fdpipe.artifacts import Outcome
from fdpipe.gate.incumbent import Incumbent
from fdpipe.interfaces import Evidence
from tests.contracts.gate import CheckContract, evaluation, evidence


def deployed(quality: float | None) -> Evidence:
    return evidence(incumbent=evaluation(quality), incumbent_release="0123456789abcdef")


class TestIncumbent(CheckContract):
    conf = "incumbent"

    def check(self) -> Incumbent:
        return Incumbent()

    def passing(self) -> Evidence:
        return deployed(0.97)

    def failing(self) -> Evidence:
        return deployed(0.99)

    def broken(self) -> Evidence:
        return deployed(None)

    def test_a_first_deployment_passes(self) -> None:
        result = self.result(evidence())
        assert (result.outcome, result.reason) == (Outcome.PASS, "nothing is deployed yet")

    def test_the_incumbent_is_named(self) -> None:
        reason = self.result(self.failing()).reason
        assert reason.startswith("lost 0.0200 accuracy (0.9900 → 0.9700)")
        assert reason.endswith("against the deployed release 0123456789ab")

    def test_a_tolerance(self) -> None:
        assert Incumbent(max_drop=0.02).judge(self.failing()).outcome is Outcome.PASS
