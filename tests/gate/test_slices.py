"""slices: a group of rows that loses what the whole does not show."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from fdpipe import workers
from fdpipe.artifacts import CheckResult, Outcome, Stress
from fdpipe.errors import ConfigError
from fdpipe.evidence import Evidence, Paired
from fdpipe.gate.loss import Drop
from fdpipe.gate.slices import Slices, Undecided
from fdpipe.interfaces import Metric
from fdpipe.metric.accuracy import Accuracy
from fdpipe.metric.f1 import F1
from fdpipe.metric.rmse import Rmse
from fdpipe.statistics.noninferiority import compare
from tests.contracts.gate import CheckContract, evaluation, evidence

CLASSES, EACH = 10, 60
TRUE = np.repeat(np.arange(CLASSES), EACH)
BY_LABEL = {f"by_label: {one}": np.equal(TRUE, one) for one in range(CLASSES)}


def sliced(
    wrong: np.ndarray,
    *,
    slices: Mapping[str, np.ndarray] = BY_LABEL,
    metrics: Mapping[str, Metric] | None = None,
    labels: np.ndarray | None = TRUE,
    stress: tuple[Stress, ...] | None = (),
) -> Evidence:
    """A candidate that gives the next label for these rows, beside an original that is always right; with `stress` None it is a
    first impression."""
    after = np.where(wrong, TRUE + 1, TRUE)
    metrics = {"accuracy": Accuracy()} if metrics is None else metrics
    pair = Paired(before={"label": TRUE}, after={"label": after}, labels=labels, own=TRUE, alike=after == TRUE)
    directions = dict.fromkeys(metrics, True) or {"agreement": True}
    return evidence(
        evaluation=evaluation(rows=len(TRUE)), metrics=metrics, directions=directions, beside_original=pair, slices=slices,
        stress=stress,
    )  # fmt: skip


def first(count: int, of: int = 3) -> np.ndarray:
    """The first rows of one class."""
    wrong = np.zeros(len(TRUE), bool)
    wrong[of * EACH : of * EACH + count] = True
    return wrong


NONE = first(0)


class TestSlices(CheckContract):
    conf = "slices"

    def check(self) -> Slices:
        return Slices(max_drop=0.05)

    def passing(self) -> Evidence:
        return sliced(NONE)

    def failing(self) -> Evidence:
        return sliced(first(EACH))

    def broken(self) -> Evidence:
        values = Paired(
            before={"value": TRUE * 1.0}, after={"value": np.where(first(1), np.nan, TRUE)}, labels=TRUE * 1.0, own=None
        )
        return evidence(metrics={"rmse": Rmse()}, directions={"rmse": False}, beside_original=values, slices=BY_LABEL)

    def test_what_hurts_one_class_is_refused_though_the_whole_hardly_changes(self) -> None:
        """A fifth of one class in ten: 2 % of all rows, which surely is less than 5 %."""
        hurting = sliced(first(EACH // 5))
        assert hurting.beside_original is not None
        whole = compare(Accuracy(), hurting.beside_original, higher_is_better=True, limit=0.05)
        assert whole.outcome is Outcome.PASS
        result = self.result(hurting)
        assert result.outcome is Outcome.FAIL
        assert result.reason.startswith("by_label: 3 lost 0.2000 (surely 0.0")
        assert "accuracy on 60 rows, at most 0.05 is allowed" in result.reason
        (worst, *others) = result.findings
        assert (worst.name, worst.unit, worst.rows, worst.outcome) == ("by_label: 3", "accuracy", EACH, Outcome.FAIL)
        assert worst.figure == pytest.approx(1 / 5)
        assert worst.low is not None
        assert worst.high is not None
        assert 0.05 < worst.low < 1 / 5 < worst.high
        assert len(others) == CLASSES - 1
        assert all(one.outcome is not Outcome.FAIL for one in others)

    def test_a_candidate_without_figures_fails_where_the_original_has_some(self) -> None:
        result = self.result(self.broken())
        assert result.reason == "by_label: 3 has no figure of rmse, and the original has one"
        assert result.findings[0].name == "by_label: 3"

    def test_what_cannot_be_decided_passes_and_is_told(self) -> None:
        """3 of 60 rows are at the limit: this is neither sure harm nor surely none."""
        result = self.result(sliced(first(3)))
        assert result.outcome is Outcome.PASS
        assert result.reason == "none of 10 slices surely lost more than 0.05 (by_label: 3 could not be decided)"
        assert result.findings[0].outcome is Outcome.INCONCLUSIVE
        assert result.needed is None

    def test_what_cannot_be_decided_is_refused_where_proof_is_demanded(self) -> None:
        demanding = Slices(max_drop=0.05, undecided=Undecided.REFUSE)
        assert demanding.judge(sliced(NONE)).outcome is Outcome.PASS
        result = demanding.judge(sliced(first(2)))
        assert result.outcome is Outcome.INCONCLUSIVE
        needed = result.findings[0].needed
        assert needed is not None
        assert needed > EACH
        assert result.needed == needed * CLASSES, "of all rows, of which the slice is a tenth"

    def test_the_more_slices_the_surer_harm_must_be(self) -> None:
        """7 of 60 lost are surely more than 5 % by themselves, and not as one slice among ten."""
        lost = first(7)
        alone = self.result(sliced(lost, slices={"by_label: 3": BY_LABEL["by_label: 3"]}))
        among = self.result(sliced(lost))
        assert (alone.outcome, among.outcome) == (Outcome.FAIL, Outcome.PASS)
        assert among.findings[0].outcome is Outcome.INCONCLUSIVE

    @pytest.mark.parametrize("lost", [0, 3, 7, 20, EACH])
    @pytest.mark.parametrize("undecided", Undecided)
    def test_a_first_impression_is_quicker_and_says_the_same(self, lost: int, undecided: Undecided) -> None:
        check = Slices(undecided=undecided)
        whole, first_impression = (check.judge(sliced(first(lost), stress=stress)) for stress in ((), None))
        assert first_impression.outcome is whole.outcome
        assert first_impression.figure == whole.figure
        bounds = {one.name for one in first_impression.findings if one.low is not None}
        assert len(bounds) == (CLASSES if undecided is Undecided.REFUSE else int(lost > 3))

    def test_metrics_are_of_the_family_too(self) -> None:
        result = self.result(sliced(first(EACH), metrics={"accuracy": Accuracy(), "f1": F1()}))
        assert {(one.name, one.unit) for one in result.findings} == {
            (name, unit) for name in BY_LABEL for unit in ("accuracy", "f1")
        }

    def test_slices_of_few_rows_are_told_and_not_judged(self) -> None:
        few = {"tiny": np.arange(len(TRUE)) < 5, "empty": NONE}
        result = self.result(sliced(np.arange(len(TRUE)) < 5, slices={**BY_LABEL, **few}))
        assert result.outcome is Outcome.PASS
        assert result.reason.endswith("(by_label: 0 could not be decided; tiny, empty had fewer than 10 rows)")
        told = {one.name: one for one in result.findings if one.name in few}
        assert {name: (one.rows, one.figure, one.needed) for name, one in told.items()} == {
            "tiny": (5, None, 10), "empty": (0, None, 10),
        }  # fmt: skip

    def test_where_no_slice_can_be_judged_nothing_is_concluded(self) -> None:
        result = self.result(sliced(NONE, slices={"tiny": np.arange(len(TRUE)) < 5}))
        assert result.outcome is Outcome.INCONCLUSIVE
        assert result.reason == "no slice could be judged: none has 10 rows"

    def test_without_labels_agreement_is_judged(self) -> None:
        assert self.result(sliced(NONE, metrics={}, labels=None)).outcome is Outcome.PASS
        result = self.result(sliced(first(EACH), metrics={}, labels=None))
        assert (result.outcome, result.unit) == (Outcome.FAIL, "agreement")

    def test_where_no_slicer_is_asked_for_it_says_so(self) -> None:
        result = self.result(evidence())
        assert (result.outcome, result.reason) == (Outcome.PASS, "no slicer is asked for")

    @pytest.mark.parametrize("stress", [None, ()])
    def test_a_slicer_that_finds_no_slice_is_not_passed(self, stress: tuple[Stress, ...] | None) -> None:
        result = self.result(evidence(slicers=("by_column", "mine"), stress=stress))
        assert result.outcome is Outcome.INCONCLUSIVE
        assert result.reason.startswith("no slice could be judged: these rows have not what by_column, mine would slice by")

    def test_a_metric_that_is_not_known_fails(self) -> None:
        """And is not taken for agreement, though there is an answer row by row."""
        result = self.result(replace(sliced(NONE), directions={"another": True}))
        assert result.outcome is Outcome.FAIL

    @pytest.mark.parametrize("stress", [None, ()])
    @pytest.mark.parametrize("undecided", Undecided)
    def test_a_fraction_of_nothing_is_not_concluded(self, undecided: Undecided, stress: tuple[Stress, ...] | None) -> None:
        """The original is never right in one class, and always in the others."""
        never = np.where(TRUE == 3, TRUE + 1, TRUE)
        pair = Paired(before={"label": never}, after={"label": never}, labels=TRUE, own=never)
        check, known = (
            Slices(drop=Drop.RELATIVE, undecided=undecided),
            replace(sliced(NONE, stress=stress), beside_original=pair),
        )
        result = check.judge(known)
        assert result.outcome is (Outcome.PASS if undecided is Undecided.ALLOW else Outcome.INCONCLUSIVE)
        assert (
            "(of by_label: 3 the original's figure is 0, and a fraction of 0 is undefined: gate.drop=absolute" in result.reason
        )
        only = check.judge(replace(known, slices={"by_label: 3": BY_LABEL["by_label: 3"]}))
        assert only.outcome is Outcome.INCONCLUSIVE
        assert only.reason.startswith("no slice could be judged: the original's figure is 0, and a fraction of 0 is undefined")
        assert Slices(undecided=undecided).judge(known).outcome is Outcome.PASS

    def test_slices_without_answers_fail(self) -> None:
        assert self.result(evidence(slices=BY_LABEL)).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    "wrong", [{"max_drop": float("nan")}, {"alpha": 0.0}, {"alpha": 0.5}, {"min_rows": 0}, {"undecided": "maybe"}]
)
def test_the_settings_have_ranges(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        workers.build("gate", {"_target_": "fdpipe.gate.slices.Slices", **wrong})


def at_the_limit(random: np.random.Generator, slices: int, rows: int, limit: float) -> CheckResult:
    """A candidate whose true loss is the limit in every slice, which is the hardest that harmless can be; at first impression,
    which says the same."""
    labels = np.zeros(slices * rows, int)
    fate = random.random(len(labels))
    before, after = labels.copy(), labels.copy()
    after[fate < limit + 0.02] = 1
    before[fate > 1 - 0.02] = 1
    masks = {f"{one}": np.arange(len(labels)) // rows == one for one in range(slices)}
    return Slices(max_drop=limit).judge(
        evidence(
            metrics={"accuracy": Accuracy()}, slices=masks, stress=None,
            beside_original=Paired(before={"label": before}, after={"label": after}, labels=labels, own=labels),
        )
    )  # fmt: skip


def test_many_harmless_slices_refuse_no_more_often_than_alpha() -> None:
    random = np.random.default_rng(0)
    refused = [at_the_limit(random, 20, 80, 0.05).outcome is Outcome.FAIL for _ in range(40)]
    assert sum(refused) <= 5, "of 40 at a probability of 5 %, more than 5 are a chance of 1.4 %"
