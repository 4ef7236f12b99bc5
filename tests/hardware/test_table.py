"""The hardware table: the best that passed of each runtime, and of every figure how it was come by."""

from dataclasses import replace
from typing import Any

import pytest

from fdpipe.artifacts import Basis, Figure, Record
from fdpipe.hardware import Column, rows_of
from fdpipe.hardware.table import cost
from fdpipe.pipeline import run
from fdpipe.plan import Plan, Recipe, Target, Unmeasured
from fdpipe.testing import FakeCheck, FakePass, FakeRuntime
from fdpipe.testing.rehearsal import Rehearsal, fake_plan
from tests.hardware.example import figure

NO_GPU = "there is no GPU"


@pytest.fixture(autouse=True)
def _state(home: None) -> None:
    """Every line has a state folder of its own."""


def examined(**changes: Any) -> tuple[Record, Plan]:  # noqa: ANN401 - any field of Plan
    plan = fake_plan(**changes)
    return run(plan, call=Rehearsal()), plan


def test_the_best_of_each_runtime_has_a_row() -> None:
    record, plan = examined(runtime={"fake": FakeRuntime(), "other": FakeRuntime()})
    found = rows_of(record, plan.target)
    assert {(row.target, row.runtime) for row in found} == {("here", "fake"), ("here", "other")}
    fake = next(row for row in found if row.runtime == "fake")
    assert fake.candidate == "fake/half"
    own = record.measured.of("fake/half")
    assert own is not None
    figures = {name: one.value for name, one in fake.figures.items()}
    (timing,) = own.timings
    assert figures[Column.THROUGHPUT] == timing.rows_per_s
    assert (figures[Column.P50], figures[Column.P99]) == (timing.p50_ms, timing.p99_ms)
    assert figures[Column.SIZE] == own.size_bytes / 2**20
    assert fake.machine.startswith(record.measured.machine.processor)
    assert fake.reason == ""


def test_what_was_not_measured_has_no_figure_and_says_why() -> None:
    record, plan = examined()
    figures = rows_of(record, plan.target)[0].figures
    for column, why in ((Column.MEMORY, "benchmark.memory is off"), (Column.COST, "set target.price_per_hour of here")):
        assert (figures[column].value, figures[column].basis) == (None, Basis.NOT_MEASURED)
        assert why in figures[column].method
    assert figures[Column.ENERGY] == record.measured.energy["fake/half"]


def test_a_cost_is_derived_from_the_price_and_the_speed() -> None:
    target = Target(name="here", runtimes=("fake",), price_per_hour=3.6, currency="EUR")
    found = cost(target, figure(1000.0, "rows/s"))
    assert found.value == pytest.approx(1.0), "3.6 an hour is 0.001 a second, in which it answers 1,000"
    assert (found.unit, found.basis) == ("EUR per million", Basis.DERIVED)
    assert found.method == "3.6 EUR an hour ÷ (1,000 rows/s × 3600) × 1,000,000"


@pytest.mark.parametrize("basis", [Basis.ESTIMATED, Basis.NOT_MEASURED])
def test_no_cost_comes_of_a_speed_that_is_not_measured(basis: Basis) -> None:
    target = Target(name="here", runtimes=("fake",), price_per_hour=3.6)
    found = cost(target, Figure(value=1000.0, unit="rows/s", basis=basis, method="a guess"))
    assert (found.value, found.basis) == (None, Basis.NOT_MEASURED)
    assert "a guess" in found.method


def test_a_runtime_whose_candidates_were_refused_has_the_reason() -> None:
    runtimes = {"fake": FakeRuntime(), "other": FakeRuntime()}
    record, plan = examined(runtime=runtimes, gate={"floor": FakeCheck(refuses=("other/none", "other/half"))})
    other = next(row for row in rows_of(record, plan.target) if row.runtime == "other")
    assert other.candidate is None
    assert other.reason.startswith("no candidate passed the gate: other/")
    assert other.instead == "none passed"
    assert {one.value for one in other.figures.values()} == {None}


def test_a_runtime_that_is_not_installed_has_the_reason() -> None:
    record, plan = examined(runtime={"fake": FakeRuntime(), "other": FakeRuntime(missing="tensorrt")})
    *_, skipped = rows_of(record, plan.target)
    assert (skipped.runtime, skipped.candidate) == ("other", None)
    assert skipped.reason == "tensorrt: pip install 'fdpipe[fake]'"


def test_what_cannot_be_run_here_has_the_reason_and_its_size() -> None:
    blind = {"fake": FakeRuntime(elsewhere=NO_GPU)}
    refused = rows_of(*_with_target(examined(runtime=blind)))
    assert [(row.candidate, row.reason) for row in refused] == [(None, f"not measured: {NO_GPU}")]
    assert refused[0].instead == "not measured"
    (allowed,) = rows_of(*_with_target(examined(runtime=blind, unmeasured=Unmeasured.ALLOW)))
    assert allowed.candidate == "fake/none"
    assert {name for name, one in allowed.figures.items() if one.value is not None} == {Column.SIZE}


def _with_target(found: tuple[Record, Plan]) -> tuple[Record, Target]:
    return found[0], found[1].target


def test_a_runtime_that_could_make_nothing_has_the_reason() -> None:
    recipes = {"none": Recipe(runtimes=("fake",)), "half": Recipe(passes=(FakePass(breaks="no memory"),), runtimes=("other",))}
    record, plan = examined(runtime={"fake": FakeRuntime(), "other": FakeRuntime()}, recipe=recipes)
    other = next(row for row in rows_of(record, plan.target) if row.runtime == "other")
    assert "no candidate could be made" in other.reason
    assert "no memory" in other.reason
    assert other.instead == "none made", "what failed is not said to be not measured"


def test_what_did_not_come_into_the_final_benchmark_has_the_reason() -> None:
    record, plan = examined(runtime={"fake": FakeRuntime(), "other": FakeRuntime()})
    verdict = replace(record.verdict, passed=("fake/half",), results=())
    other = next(row for row in rows_of(replace(record, verdict=verdict), plan.target) if row.runtime == "other")
    assert "came into the final benchmark: runtime=other looks at it alone" in other.reason
    assert other.instead == "no finalist"
