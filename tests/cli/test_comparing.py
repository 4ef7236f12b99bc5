"""`fdpipe compare`: the line up to the verdict for each target, one table, one recommendation, nothing deployed."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from fdpipe.cli import call
from fdpipe.cli.comparing import Comparison, aim_of, compared, show
from fdpipe.cli.session import Session
from fdpipe.cli.streams import Streams
from fdpipe.errors import ConfigError, Exit, SourceError
from fdpipe.hardware import Aim, Column
from fdpipe.history import History, Standing
from fdpipe.plan import Plan, Target
from fdpipe.releases import Releases
from fdpipe.testing import FakeCheck, FakeDeployer, FakeRuntime, FakeSource
from fdpipe.testing.rehearsal import Rehearsal, fake_plan
from tests.states import own_state

NO_GPU = "there is no GPU"


@pytest.fixture(autouse=True)
def _state(home: Path) -> None:
    """Every line has a state folder of its own."""


def named(name: str, price_per_hour: float | None = None) -> Target:
    return Target(name=name, runtimes=("fake", "other"), price_per_hour=price_per_hour)


@pytest.fixture(scope="module")
def plans() -> list[Plan]:
    """One that can be measured, one whose only runtime is not here."""
    return [
        fake_plan(target=named("cpu", price_per_hour=3.6)),
        fake_plan(target=named("gpu"), runtime={"fake": FakeRuntime(missing="tensorrt")}),
    ]


@pytest.fixture(scope="module")
def by_cost(plans: list[Plan], tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Both, compared by their cost."""
    with own_state(tmp_path_factory.mktemp("home")):
        return compared(plans, Aim.COST)


def shown(found: Comparison) -> str:
    out = io.StringIO()
    show(Session(streams=Streams(out, out)), found)
    return out.getvalue()


def test_one_that_cannot_be_measured_does_not_fail_the_others(by_cost: Comparison) -> None:
    found = by_cost
    assert [(row.target, row.candidate) for row in found.rows] == [("cpu", "fake/half"), ("gpu", None)]
    assert "tensorrt: pip install 'fdpipe[fake]'" in found.rows[1].reason
    assert found.advice.row == found.rows[0]
    assert found.exit_code is Exit.DONE


def test_nothing_is_packaged_deployed_or_published(plans: list[Plan], home: Path, tmp_path: Path) -> None:
    steps = Rehearsal()
    source, deployer = FakeSource(published=tmp_path / "published"), FakeDeployer(record=tmp_path / "running")
    compared([replace(plan, source=source, deployer=deployer) for plan in plans], Aim.COST, call=steps)
    assert steps.steps[-1] == "judge"
    assert {"package", "prove", "deploy", "publish"}.isdisjoint(steps.steps)
    assert not (tmp_path / "published").exists()
    assert not (tmp_path / "running").exists()
    assert Releases(home / "releases.sqlite", home / "store").services() == []


def test_its_benchmark_is_kept_once_as_one_that_deployed_nothing(plans: list[Plan], home: Path) -> None:
    first = compared(plans, Aim.COST)
    assert compared(plans, Aim.COST).rows == first.rows, "the second takes it from the store"
    found = {one.candidate: one.standing for one in History.of(home).entries("fake")}
    assert found == {"fake/half": Standing.CHOSEN, "fake/none": Standing.MEASURED}


def test_where_nothing_passes_there_is_no_recommendation() -> None:
    found = compared([fake_plan(gate={"floor": FakeCheck(floor=1.1)})], Aim.LATENCY)
    assert found.exit_code is Exit.INCONCLUSIVE
    assert "no recommendation for latency: no candidate passed the gate on any target" in shown(found)


def test_where_the_figure_is_not_measured_there_is_no_recommendation() -> None:
    found = compared([fake_plan(target=named("cpu"))], Aim.COST)
    assert found.exit_code is Exit.INCONCLUSIVE
    assert found.advice.reason == "cost is not measured: no price is declared: set target.price_per_hour of cpu"


def test_a_runtime_asked_for_alone_takes_the_place_of_what_it_lacked() -> None:
    both = fake_plan(runtime={"fake": FakeRuntime(), "other": FakeRuntime(missing="tensorrt")})
    alone = fake_plan(runtime={"other": FakeRuntime()})
    found = compared([both, alone, both], Aim.LATENCY)
    assert {row.runtime: row.candidate for row in found.rows} == {"fake": "fake/half", "other": "other/half"}


def test_what_concerns_every_target_is_raised() -> None:
    with pytest.raises(SourceError):
        compared([fake_plan(model="nosuch")], Aim.COST)


def test_the_table_says_what_is_measured_derived_and_missing(by_cost: Comparison) -> None:
    text = shown(by_cost)
    lines = {line.split()[0]: line for line in text.splitlines() if line.split()}
    assert "= " in lines["cpu"]
    assert " USD" in lines["cpu"]
    assert lines["gpu"].count("not measured") == len(Column)
    assert "= is derived from measured figures, ~ is estimated; every other figure is measured" in text
    assert "gpu: tensorrt: pip install 'fdpipe[fake]'" in text
    assert "recommended for cost: cpu with fake/half: " in text
    assert "rule: the lowest cost of a million rows at the declared prices" in text


def test_as_json_every_figure_has_its_basis(by_cost: Comparison) -> None:
    out = io.StringIO()
    Session(as_json=True, streams=Streams(out, out)).give(by_cost.as_data())
    data = json.loads(out.getvalue())
    assert (data["exit_code"], data["aim"]) == (0, "cost")
    assert data["recommended"] == {"target": "cpu", "runtime": "fake", "candidate": "fake/half"}
    figures = data["rows"][0]["figures"]
    assert set(figures) == set(Column)
    assert figures["cost"]["basis"] == "derived"
    assert figures["p50"]["basis"] == "measured"
    assert {one["basis"] for one in data["rows"][1]["figures"].values()} == {"not measured"}


def test_the_aim_is_no_override() -> None:
    assert aim_of(["model=m", "aim=energy", "+target=cpu"]) == (Aim.ENERGY, ["model=m", "+target=cpu"])
    assert aim_of(["model=m"]) == (Aim.LATENCY, ["model=m"])
    with pytest.raises(ConfigError, match=r"aim=speed is not known: choose from cost, energy, latency, size, throughput"):
        aim_of(["aim=speed"])
    with pytest.raises(ConfigError, match="given 2 times"):
        aim_of(["aim=cost", "aim=size"])


def test_a_mistake_is_one_line() -> None:
    out, err = io.StringIO(), io.StringIO()
    assert call(Session(streams=Streams(out, err)), ["compare", "model=digits", "aim=fast"]) == Exit.CONFIGURATION
    assert err.getvalue().startswith("fdpipe: aim=fast is not known")
    assert len(err.getvalue().splitlines()) == 1
