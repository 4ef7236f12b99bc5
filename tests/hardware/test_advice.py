"""The recommendation: the best row for an aim, decided by figures that somebody measured."""

import pytest

from fdpipe.artifacts import Basis
from fdpipe.hardware import Aim, Column, advise
from tests.hardware.example import figure, row

CPU = row("cpu", throughput=1000.0, p50=1.0, p99=9.0, size=10.0, energy=0.5, cost=2.0)
GPU = row("gpu", "trt/float16", throughput=9000.0, p50=2.0, p99=3.0, size=40.0, energy=0.1, cost=5.0)


@pytest.mark.parametrize(
    ("aim", "best"),
    [(Aim.LATENCY, "cpu"), (Aim.THROUGHPUT, "gpu"), (Aim.COST, "cpu"), (Aim.ENERGY, "gpu"), (Aim.SIZE, "cpu")],
)
def test_each_aim_has_its_own_best(aim: Aim, best: str) -> None:
    found = advise((CPU, GPU), aim)
    assert found.row is not None
    assert found.row.target == best
    assert found.row.candidate is not None
    assert found.reason.startswith(f"{best} with {found.row.candidate}: ")
    assert found.rule.endswith("among candidates that passed the gate and whose figure is measured or derived")


def test_an_estimate_decides_nothing_unless_it_is_allowed_to() -> None:
    guessed = row("arm", energy=figure(0.01, basis=Basis.ESTIMATED, method="processor time × 5 W"))
    found = advise((CPU, guessed), Aim.ENERGY)
    assert found.row == CPU
    assert found.reason.endswith("1 of 2 rows had no such figure and did not count")
    allowed = advise((CPU, guessed), Aim.ENERGY, estimates=True)
    assert allowed.row == guessed
    assert "estimated" in allowed.rule


def test_estimates_alone_recommend_nothing() -> None:
    guessed = row("arm", energy=figure(0.01, basis=Basis.ESTIMATED, method="processor time × 5 W"))
    found = advise((guessed,), Aim.ENERGY)
    assert found.row is None
    assert found.reason == "energy is only estimated (processor time × 5 W): gate.unmeasured=allow lets estimates decide"


def test_a_derived_figure_decides() -> None:
    derived = row("cheap", cost=figure(1.0, "USD per million", Basis.DERIVED))
    assert advise((CPU, derived), Aim.COST).row == derived


def test_who_did_not_pass_is_never_recommended() -> None:
    refused = row("gpu", None, reason="no candidate passed the gate: loss", throughput=1e6)
    assert advise((CPU, refused), Aim.THROUGHPUT).row == CPU
    nothing = advise((refused,), Aim.THROUGHPUT)
    assert nothing.row is None
    assert nothing.reason == "no candidate passed the gate on any target; each row has its reason"


def test_two_currencies_are_not_compared() -> None:
    euros = row("gpu", cost=figure(1.0, "EUR per million", Basis.DERIVED))
    found = advise((CPU, euros), Aim.COST)
    assert found.row is None
    assert found.reason == "EUR per million and USD per million cannot be compared"


def test_what_is_as_good_is_named_beside_it() -> None:
    near, far = row("near", p50=1.04), row("far", p50=1.06)
    found = advise((CPU, near, far), Aim.LATENCY)
    assert found.row == CPU
    assert found.close == (near,)
    assert "within 5%, and so not told apart: near with ort/none" in found.reason


def test_a_figure_that_nobody_has_says_why() -> None:
    found = advise((row("cpu"),), Aim.COST)
    assert (found.row, found.reason) == (None, "cost is not measured: not asked")
    assert "there is no row" in advise((), Aim.COST).reason


def test_every_aim_has_a_column() -> None:
    assert {advise((CPU,), aim).aim for aim in Aim} == set(Aim)
    assert set(CPU.figures) == set(Column)
