"""`fdpipe compare`: the line up to the verdict for each target, one table, one recommendation, nothing deployed."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from fdpipe.cli import call
from fdpipe.cli.comparing import TargetComparison, aim_of, compared, show
from fdpipe.cli.session import Session
from fdpipe.cli.streams import Streams
from fdpipe.errors import ConfigError, ConversionError, Exit, MissingExtra, SourceError
from fdpipe.hardware import Aim, Column
from fdpipe.history import Fate, History
from fdpipe.plan import Plan, Target
from fdpipe.progress import name_of
from fdpipe.releases import Releases
from fdpipe.testing import FakeCheck, FakeConverter, FakeDeployer, FakeRuntime, FakeSource
from fdpipe.testing.rehearsal import Rehearsal, fake_plan
from tests.states import own_state

P = ParamSpec("P")
T = TypeVar("T")


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
def by_cost(plans: list[Plan], tmp_path_factory: pytest.TempPathFactory) -> TargetComparison:
    """Both, compared by their cost."""
    with own_state(tmp_path_factory.mktemp("home")):
        return compared(plans, Aim.COST)


def shown(found: TargetComparison) -> str:
    out = io.StringIO()
    show(Session(streams=Streams(out, out)), found)
    return out.getvalue()


def test_one_that_cannot_be_measured_does_not_fail_the_others(by_cost: TargetComparison) -> None:
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
    assert found == {"fake/half": Fate.CHOSEN, "fake/none": Fate.MEASURED}


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


def test_a_model_that_cannot_be_converted_is_no_row() -> None:
    """Neither where the other target lacks its library as well."""
    drifting = fake_plan(converter={"fake": FakeConverter(drift_percent=50)})
    absent = replace(drifting, target=named("gpu"), runtime={"fake": FakeRuntime(missing="tensorrt")})
    for plans in ([drifting], [drifting, replace(drifting, target=named("arm"))], [absent, drifting]):
        with pytest.raises(ConversionError):
            compared(plans, Aim.COST)


def test_a_library_that_the_model_needs_is_no_target_s() -> None:
    def lacks(step: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if name_of(step) == "convert":
            raise MissingExtra("torch is needed: pip install 'fdpipe[torch]'")
        return step(*args, **kwargs)

    absent = fake_plan(target=named("gpu"), runtime={"fake": FakeRuntime(missing="tensorrt")})
    with pytest.raises(MissingExtra, match="torch is needed"):
        compared([absent, fake_plan()], Aim.COST, call=lacks)


def test_a_reason_that_all_targets_share_is_the_command_s_own_failure() -> None:
    absent = fake_plan(target=named("gpu"), runtime={"fake": FakeRuntime(missing="tensorrt")})
    with pytest.raises(MissingExtra, match=r"^tensorrt: pip install"):
        compared([absent, replace(absent, target=named("rtx"))], Aim.COST)


def test_targets_that_fail_each_for_its_own_reason_are_rows() -> None:
    targets = {"gpu": "tensorrt", "other": "openvino"}
    plans = [fake_plan(target=named(name), runtime={"fake": FakeRuntime(missing=what)}) for name, what in targets.items()]
    found = compared(plans, Aim.LATENCY)
    assert [row.reason.partition(":")[0] for row in found.rows] == ["tensorrt", "openvino"]
    assert found.exit_code is Exit.INCONCLUSIVE
    assert [shown(found).count(what) for what in targets.values()] == [1, 1], "each reason is said once"


def test_the_table_says_what_is_measured_derived_and_missing(by_cost: TargetComparison) -> None:
    text = shown(by_cost)
    lines = {line.split()[0]: line for line in text.splitlines() if line.split()}
    assert "= " in lines["cpu"]
    assert " USD" in lines["cpu"]
    assert lines["gpu"].split() == ["gpu", "–", "not", "measured", *["–"] * len(Column)]
    assert "= is derived from measured figures, ~ is estimated; every other figure is measured" in text
    assert "gpu: tensorrt: pip install 'fdpipe[fake]'" in text
    assert "recommended for cost: cpu with fake/half: " in text
    assert "rule: the lowest cost of a million rows at the declared prices" in text


def test_as_json_every_figure_has_its_basis(by_cost: TargetComparison) -> None:
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
    assert aim_of(["model=m", "+aim=energy", "+target=cpu"]) == (Aim.ENERGY, ["model=m", "+target=cpu"])
    assert aim_of(["model=m"]) == (Aim.LATENCY, ["model=m"])
    with pytest.raises(ConfigError, match=r"aim=speed is not known: choose from cost, energy, latency, size, throughput"):
        aim_of(["aim=speed"])
    with pytest.raises(ConfigError, match="given 2 times"):
        aim_of(["aim=cost", "+aim=size"])


def test_a_mistake_is_one_line() -> None:
    out, err = io.StringIO(), io.StringIO()
    assert call(Session(streams=Streams(out, err)), ["compare", "model=digits", "aim=fast"]) == Exit.CONFIGURATION
    assert err.getvalue().startswith("fdpipe: aim=fast is not known")
    assert len(err.getvalue().splitlines()) == 1
