"""robustness: what corrupted rows cost beside what they cost the baseline."""

from dataclasses import replace

import numpy as np
import pytest

from fdpipe import workers
from fdpipe.arrays import array_digest
from fdpipe.artifacts import Answers, Outcome, Stress
from fdpipe.errors import ConfigError
from fdpipe.evidence import Evidence, Paired
from fdpipe.gate.loss import Drop
from fdpipe.gate.robustness import Robustness
from fdpipe.metric.accuracy import Accuracy
from tests.contracts.gate import CheckContract, evidence, kept

ROWS = 400
TRUE = np.zeros(ROWS, int)


def labels(wrong: int, start: int = 0) -> Answers:
    """Answers of which so many are wrong, from one on."""
    label = TRUE.copy()
    label[start : start + wrong] = 1
    digest = array_digest({"label": label})
    return Answers(path=kept(f"stress{digest}", label=label), digest=digest)


def stress(lost: int, *, base_lost: int = 100, corruption: str = "noise", figure: bool = True) -> Stress:
    """A candidate that is wrong on so many corrupted rows, where the baseline is on 100 of them."""
    quality = {"accuracy": 1 - lost / ROWS if figure else None}
    return Stress(
        corruption=corruption, rows=ROWS, quality=quality, reference={"accuracy": 1 - base_lost / ROWS}, answers=labels(lost),
        baseline_answers=labels(base_lost),
    )  # fmt: skip


def stressed(*found: Stress, unlabelled: bool = False) -> Evidence:
    known = Paired(before={"label": TRUE}, after={"label": TRUE}, labels=None if unlabelled else TRUE, own=TRUE)
    name = "agreement" if unlabelled else "accuracy"
    return evidence(metrics={"accuracy": Accuracy()}, directions={name: True}, beside_original=known, stress=found)


class TestRobustness(CheckContract):
    conf = "robustness"

    def check(self) -> Robustness:
        return Robustness(max_drop=0.05)

    def passing(self) -> Evidence:
        return stressed(stress(102), stress(100, corruption="blur"))

    def failing(self) -> Evidence:
        return stressed(stress(100, corruption="blur"), stress(180))

    def broken(self) -> Evidence:
        return stressed(stress(100, figure=False))

    def test_the_sentences(self) -> None:
        passed, failed, broken = (self.result(found).reason for found in (self.passing(), self.failing(), self.broken()))
        assert passed.startswith("on rows with noise, blur its loss is 0.0050 (")
        assert failed.startswith("with noise its loss is 0.2000 (0.1")
        assert failed.endswith(") accuracy beside the baseline, at most 0.05 is allowed")
        assert broken == "with noise it has no figure of accuracy, and the baseline has one"

    def test_a_finding_for_each_corruption_and_that_which_decides_first(self) -> None:
        worst, other = self.result(self.failing()).findings
        assert (worst.name, worst.outcome, worst.rows, worst.unit) == ("noise", Outcome.FAIL, ROWS, "accuracy")
        assert (other.name, other.outcome, other.figure) == ("blur", Outcome.PASS, 0.0)
        assert worst.low is not None
        assert worst.high is not None
        assert 0.05 < worst.low < 0.2 < worst.high

    def test_what_corruption_costs_the_baseline_itself_is_no_loss(self) -> None:
        """Half of the answers are wrong, and they are the baseline's."""
        assert self.result(stressed(stress(200, base_lost=200))).outcome is Outcome.PASS

    def test_what_cannot_be_decided_is_refused_with_the_rows_that_would(self) -> None:
        result = self.result(stressed(stress(114)))
        assert result.outcome is Outcome.INCONCLUSIVE
        assert result.needed is not None
        assert result.needed > ROWS
        assert result.reason.endswith(" accuracy beside the baseline, at most 0.05 is allowed")

    def test_a_first_impression_asks_for_none(self) -> None:
        result = self.result(evidence(stress=None))
        assert (result.outcome, result.reason) == (Outcome.PASS, "corrupted rows are not asked for a first impression")

    def test_where_no_corruption_is_asked_for_it_says_so(self) -> None:
        result = self.result(stressed())
        assert (result.outcome, result.reason) == (Outcome.PASS, "no corruption is asked for")

    def test_corruptions_that_could_not_be_asked_are_not_passed(self) -> None:
        result = self.result(replace(stressed(), corruptions=("typos", "blur")))
        assert result.outcome is Outcome.INCONCLUSIVE
        assert result.reason.startswith("the rows cannot be corrupted with typos, blur, or the baseline has no answers")

    def test_one_of_several_that_could_not_be_asked_is_told(self) -> None:
        result = self.result(replace(self.passing(), corruptions=("noise", "typos", "blur")))
        assert result.outcome is Outcome.PASS
        assert result.reason.endswith("at most 0.05 is allowed (typos could not be asked)")

    def test_a_metric_that_is_not_known_fails(self) -> None:
        """And is not taken for agreement, though there are answers row by row."""
        known = stressed(stress(100))
        assert self.result(known).outcome is Outcome.PASS
        result = self.result(replace(known, metrics={"another": Accuracy()}))
        assert (result.outcome, result.reason) == (Outcome.FAIL, "with noise its accuracy cannot be compared row by row")

    def test_a_fraction_of_nothing_is_not_concluded(self) -> None:
        """The baseline is wrong on every corrupted row."""
        result = Robustness(drop=Drop.RELATIVE).judge(stressed(stress(ROWS, base_lost=ROWS)))
        assert result.outcome is Outcome.INCONCLUSIVE
        assert result.reason.startswith(
            "with noise the baseline's accuracy is 0: a fraction of 0 is undefined: gate.drop=absolute"
        )

    def test_the_exact_p_value_of_labels_is_among_the_findings(self) -> None:
        (found,) = self.result(stressed(stress(110))).findings
        assert found.p_value == pytest.approx(2 * 0.5**10)

    def test_the_baseline_is_what_the_others_are_compared_with(self) -> None:
        few = Stress(
            corruption="noise", rows=ROWS, quality={"accuracy": 0.75}, reference={"accuracy": 0.75}, answers=labels(100),
            baseline_answers=labels(100),
        )  # fmt: skip
        known = Paired(before={"label": TRUE}, after={"label": TRUE}, labels=TRUE, own=TRUE)
        assert self.result(evidence(is_baseline=True, beside_original=known, stress=(few,))).outcome is Outcome.PASS

    def test_without_labels_agreement_is_judged(self) -> None:
        one, other = (
            Stress(
                corruption="noise", rows=ROWS, quality={"agreement": 1 - lost / ROWS}, reference={"agreement": 1.0},
                answers=labels(lost), baseline_answers=labels(0),
            )
            for lost in (5, 80)
        )  # fmt: skip
        assert self.result(stressed(one, unlabelled=True)).outcome is Outcome.PASS
        result = self.result(stressed(other, unlabelled=True))
        assert (result.outcome, result.unit) == (Outcome.FAIL, "agreement")

    def test_answers_of_another_number_fail(self) -> None:
        short = Answers(path=kept("stress-short", label=TRUE[:-1]), digest="short")
        found = Stress(
            corruption="noise", rows=ROWS, quality={"accuracy": 1.0}, reference={"accuracy": 1.0}, answers=short,
            baseline_answers=labels(0),
        )  # fmt: skip
        assert self.result(stressed(found)).outcome is Outcome.FAIL


@pytest.mark.parametrize("wrong", [{"max_drop": float("inf")}, {"alpha": 0.0}, {"alpha": 0.5}])
def test_the_settings_have_ranges(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        workers.build("gate", {"_target_": "fdpipe.gate.robustness.Robustness", **wrong})
