"""The loss of a metric, judged with confidence: how often that is right, by simulation, and what fails closed."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from bench.gate.candidates import AT_THE_LIMIT, World, right_or_wrong, values
from fdpipe.arrays import Batch
from fdpipe.artifacts import Outcome
from fdpipe.evidence import Paired
from fdpipe.interfaces import Metric
from fdpipe.metric.accuracy import Accuracy
from fdpipe.metric.auroc import Auroc
from fdpipe.metric.f1 import F1
from fdpipe.metric.mae import Mae
from fdpipe.metric.rmse import Rmse
from fdpipe.statistics.noninferiority import Loss, agreement, compare
from fdpipe.statistics.proportions import p_within


def compared(metric: Metric, paired: Paired, limit: float = 0.01, relative: bool = False) -> Loss:
    return compare(metric, paired, higher_is_better=metric.higher_is_better, limit=limit, relative=relative, resamples=500)


def outcomes(world: World, rows: int, trials: int, limit: float) -> Counter[Outcome]:
    return Counter(
        compared(world.metric, world.draw(np.random.default_rng((rows, trial)), rows), limit, world.relative).outcome
        for trial in range(trials)
    )


# --- how often it is right --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gained", [0.0, 0.005, 0.045, 0.195])
@pytest.mark.parametrize("rows", [50, 299, 475, 719])
def test_labels_at_the_limit_pass_no_more_often_than_alpha(gained: float, rows: int) -> None:
    """Over 1,000 candidates that lose one row in a hundred, in the balance."""
    random = np.random.default_rng(rows)
    counts = Counter(map(tuple, random.multinomial(1000 * [rows], [gained + 0.01, gained, 0.99 - 2 * gained])[:, :2].tolist()))
    passed = sum(times for (lost, gain), times in counts.items() if p_within(lost, gain, rows, 0.01) <= 0.05)
    assert passed / 1000 <= 0.05 + 3 * 0.0069


@pytest.mark.parametrize(
    "world", [one for one, _ in AT_THE_LIMIT if "garbage" in one.name or "F1" in one.name], ids=lambda one: one.name
)
def test_others_at_the_limit_pass_no_more_often_than_alpha(world: World) -> None:
    passed = outcomes(world, 300, 60, replace(world, drop=None).true_drop() if world.drop is None else world.drop)[Outcome.PASS]
    assert passed <= 8, "of 60, at 5 %, more come up in one of 1,000"


def test_as_good_passes_with_enough_rows_and_not_with_few() -> None:
    same = World(name="as good", metric=Accuracy(), draw=right_or_wrong(0.005, 0.005))
    assert outcomes(same, 2000, 60, 0.01)[Outcome.PASS] >= 54
    assert outcomes(same, 40, 60, 0.01) == {Outcome.INCONCLUSIVE: 60}
    alike = World(name="as good", metric=Mae(), draw=values(0.02), relative=True)
    assert outcomes(alike, 1000, 30, 0.05)[Outcome.PASS] >= 28
    assert outcomes(alike, 40, 30, 0.05) == {Outcome.INCONCLUSIVE: 30}


def test_a_large_loss_fails() -> None:
    assert outcomes(World(name="bad", metric=Accuracy(), draw=right_or_wrong(0.06, 0.0)), 500, 30, 0.01)[Outcome.FAIL] == 30
    assert outcomes(World(name="bad", metric=Rmse(), draw=values(1.0)), 1000, 30, 0.05)[Outcome.FAIL] == 30


# --- what it says -----------------------------------------------------------------------------------------------------


def pair(rows: int = 400) -> Paired:
    return right_or_wrong(0.02, 0.01)(np.random.default_rng(0), rows)


def test_labels_are_judged_exactly() -> None:
    found = compared(Accuracy(), pair())
    assert found.p_value is not None
    assert found.loss == pytest.approx((found.before or 0) - (found.after or 0))
    assert (found.loss_low or 0) < (found.loss or 0) < (found.loss_high or 0)


@pytest.mark.parametrize("metric", [F1(), Auroc()], ids=["f1", "auroc"])
def test_a_metric_of_all_rows_is_judged_the_same_way(metric: Metric) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 500)
    logit = random.normal(2 * (2 * labels - 1), 1.5)
    answers = [
        {"label": (one > 0).astype(int), "probabilities": np.stack([-one, one], axis=1)}
        for one in (logit, logit + random.normal(0, 0.3, 500))
    ]
    found = compared(metric, Paired(before=answers[0], after=answers[1], labels=labels, own=labels), 0.1)
    assert found.outcome is Outcome.PASS
    assert found.before == metric.score(answers[0], labels)
    assert (found.loss_high or 1) - (found.loss or 0) < 0.06


def test_some_of_the_rows() -> None:
    paired, rows = pair(), np.arange(400) < 150
    some = compared(Accuracy(), paired)
    found = compare(Accuracy(), paired, higher_is_better=True, limit=0.01, rows=rows)
    assert (found.rows, some.rows) == (150, 400)
    assert found.before == np.mean(paired.before["label"][:150] == 1)


def test_a_fraction_of_what_was_before() -> None:
    paired = values(0.5)(np.random.default_rng(0), 500)
    absolute, relative = (compared(Mae(), paired, 0.2, relative=one) for one in (False, True))
    assert relative.loss == pytest.approx((absolute.loss or 0) / (absolute.before or 1))
    assert relative.loss_high == pytest.approx((absolute.loss_high or 0) / (absolute.before or 1), rel=0.1)


def test_the_same_twice() -> None:
    paired = values(0.5)(np.random.default_rng(0), 300)
    assert compared(Rmse(), paired) == compared(Rmse(), paired)


def test_a_fraction_of_nothing_is_not_decided() -> None:
    truth = np.arange(9.0)
    found = compared(Rmse(), Paired(before={"value": truth}, after={"value": truth}, labels=truth, own=truth), relative=True)
    assert (found.outcome, found.loss, found.needed) == (Outcome.INCONCLUSIVE, None, None)


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("metric", [Rmse(), Mae()], ids=["rmse", "mae"])
def test_hardly_any_rows_decide_nothing(metric: Metric, rows: int) -> None:
    assert compared(metric, values(0.1)(np.random.default_rng(0), rows)).outcome is Outcome.INCONCLUSIVE


# --- what fails closed ------------------------------------------------------------------------------------------------


def test_what_cannot_be_compared_fails() -> None:
    paired = pair(100)
    nan = {"value": np.full(100, np.nan)}
    broken = [
        replace(paired, labels=None),
        replace(paired, labels=np.ones(99)),
        replace(paired, after={"label": np.ones(99)}),
        replace(paired, after={}, before={}),
        replace(paired, after=nan),
        replace(paired, before=nan),
    ]
    assert [compared(Accuracy(), one, 1.0).outcome for one in broken] == [Outcome.FAIL] * len(broken)
    assert compare(Accuracy(), paired, higher_is_better=True, limit=1.0, rows=np.zeros(100, bool)).outcome is Outcome.FAIL
    assert compare(Accuracy(), paired, higher_is_better=True, limit=1.0, rows=np.ones(99, bool)).outcome is Outcome.FAIL


@dataclass(frozen=True, kw_only=True)
class Fragile:
    """A metric that has no figure without its first row."""

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = ""
    needs_labels: ClassVar[bool] = True

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        return float("nan") if 7 not in labels else 1.0


def test_a_figure_that_hangs_on_one_row_decides_nothing() -> None:
    labels = np.array([7, *np.ones(50, int)])
    found = compared(Fragile(), Paired(before={"label": labels}, after={"label": labels}, labels=labels, own=labels), 1.0)
    assert (found.outcome, found.before, found.loss_high) == (Outcome.INCONCLUSIVE, 1.0, None)


def test_agreement_of_rows() -> None:
    assert agreement(1.0, 299, limit=0.01).outcome is Outcome.PASS
    assert agreement(1.0, 298, limit=0.01).needed == 299
    assert agreement(0.9, 299, limit=0.01).outcome is Outcome.FAIL
    assert agreement(0.99, 700, before=0.98, limit=0.01).outcome is Outcome.PASS
    assert agreement(float("nan"), 299, limit=0.01).outcome is Outcome.FAIL
    assert agreement(1.0, 0, limit=0.01).outcome is Outcome.FAIL


def test_agreement_of_rows_beside_a_model_that_agrees_with_few() -> None:
    """More rows are answered otherwise by either than there are: some by both."""
    found = agreement(0.5, 700, before=0.0, limit=0.01)
    assert (found.outcome, found.loss, found.p_value) == (Outcome.PASS, -0.5, None)
    assert found.loss_high is not None
    assert found.loss_high < -0.4
    assert agreement(0.99, 700, limit=0.01).p_value == pytest.approx(2 * 0.5**7)
    undefined = agreement(0.5, 700, before=0.0, limit=0.01, relative=True)
    assert (undefined.outcome, undefined.loss, undefined.needed) == (Outcome.INCONCLUSIVE, None, None)
