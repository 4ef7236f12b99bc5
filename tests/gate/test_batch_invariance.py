"""batch_invariance: not one answer may depend on its batch-mates."""

from dataclasses import replace

from fdpipe.artifacts import Mark, Outcome
from fdpipe.evidence import Evidence
from fdpipe.gate.batch_invariance import BatchInvariance, Unbatchable
from tests.contracts.gate import CheckContract, evaluation, evidence


class TestBatchInvariance(CheckContract):
    conf = "batch_invariance"

    def check(self) -> BatchInvariance:
        return BatchInvariance()

    def failing(self) -> Evidence:
        return evidence(evaluation=evaluation(changed=1))

    def broken(self) -> Evidence:
        return evidence(evaluation=evaluation(rows=0))

    def test_the_baseline_is_not_exempt(self) -> None:
        assert self.check().judge(evidence(is_baseline=True, evaluation=evaluation(changed=1))).outcome is Outcome.FAIL

    def test_the_worst_setting_is_told(self) -> None:
        assert self.result(self.failing()).reason == "1 of 100 answers change with the batch, most beside an outlier"
        found = evaluation(changed=1)
        moved = replace(found, invariance=replace(found.invariance, largest_difference=0.0123))
        said = self.result(evidence(evaluation=moved)).reason
        assert said == "1 of 100 answers change with the batch, most beside an outlier, by up to 0.012 of their size"

    def test_it_may_pass_with_a_mark(self) -> None:
        marking = BatchInvariance(unbatchable=Unbatchable.MARK)
        result = marking.judge(self.failing())
        assert (result.outcome, result.mark) == (Outcome.PASS, Mark.UNBATCHABLE)
        assert result.reason.endswith("; marked: no two requests share a call")
        assert marking.judge(self.passing()).mark is None
        assert marking.judge(self.broken()).outcome is Outcome.FAIL, "where nothing was compared, no mark helps"
        assert self.result(self.failing()).mark is None
