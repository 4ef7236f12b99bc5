"""batch_invariance: not one answer may depend on its batch-mates."""

from fdpipe.artifacts import Mark, Outcome
from fdpipe.gate.batch_invariance import BatchInvariance, Unbatchable
from fdpipe.interfaces import Evidence
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

    def test_it_may_pass_with_a_mark(self) -> None:
        marking = BatchInvariance(unbatchable=Unbatchable.MARK)
        result = marking.judge(self.failing())
        assert (result.outcome, result.mark) == (Outcome.PASS, Mark.UNBATCHABLE)
        assert result.reason.endswith("; marked: no two requests share a call")
        assert marking.judge(self.passing()).mark is None
        assert marking.judge(self.broken()).outcome is Outcome.FAIL, "where nothing was compared, no mark helps"
        assert self.result(self.failing()).mark is None
