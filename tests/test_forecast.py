"""What a run would do, on a line of fakes: nothing is computed, and what is stored is known."""

from pathlib import Path
from typing import Any

import pytest

from fdpipe.errors import SourceError
from fdpipe.execution import execute
from fdpipe.forecast import Forecast, forecast
from fdpipe.pipeline import run
from fdpipe.plan import Recipe
from fdpipe.progress import Event
from fdpipe.testing import FakeCheck, FakePass, FakeRuntime, FakeSource
from fdpipe.testing.rehearsal import Rehearsal, fake_plan

AT_ONCE = ("resolve", "fetch", "gather", "convert", "trial fake/none", "trial fake/half", "benchmark", "energy", "judge")


@pytest.fixture(autouse=True)
def state(home: Path) -> Path:
    return home


def look(**changes: Any) -> tuple[Forecast, dict[str, str]]:  # noqa: ANN401 - any field of Plan
    found = forecast(fake_plan(**changes))
    return found, {step.name: step.state for step in found.steps}


def test_at_first_everything_would_run(state: Path) -> None:
    found, states = look()
    assert states == {"resolve": "done", "fetch": "would run"} | dict.fromkeys(
        ("gather", "convert", "trials", "benchmark", "energy", "judge", "package", "prove", "deploy"), "depends"
    )
    assert found.steps[1].reason == "nothing stored yet"
    assert not list((state / "store" / "objects").iterdir())


def test_the_plan_is_pinned_to_the_version() -> None:
    found, _ = look(source=FakeSource(versions=3))
    assert found.plan.pinned is not None
    assert found.plan.pinned.version == "3"


def test_after_a_run_its_results_are_stored() -> None:
    run(fake_plan(), call=Rehearsal())
    _, states = look()
    assert [states[name] for name in AT_ONCE[1:]] == ["stored"] * len(AT_ONCE[1:])
    assert states["package"] == "would run"
    assert states["deploy"] == "depends"


def test_only_what_depends_on_a_change_would_run() -> None:
    run(fake_plan(), call=Rehearsal())
    found, states = look(gate={"floor": FakeCheck(floor=0.5)})
    assert (states["benchmark"], states["judge"]) == ("stored", "would run")
    assert next(step for step in found.steps if step.name == "judge").reason == "stored for other inputs, settings or code only"


def test_a_new_recipe_is_one_new_trial() -> None:
    run(fake_plan(), call=Rehearsal())
    new = {"none": Recipe(), "third": Recipe(passes=(FakePass(share=0.3),)), "half": Recipe(passes=(FakePass(share=0.5),))}
    found, states = look(recipe=new)
    assert [states[f"trial fake/{name}"] for name in new] == ["stored", "would run", "stored"]
    assert states["benchmark"] == "depends"
    assert next(step for step in found.steps if step.name == "trial fake/third").reason.startswith("optimize: ")


def test_what_failed_the_last_time_would_run_again_and_hides_nothing_behind_it() -> None:
    recipes = {"none": Recipe(), "broken": Recipe(passes=(FakePass(breaks="no memory"),)), "half": fake_plan().recipe["half"]}
    execute(fake_plan(recipe=recipes), call=Rehearsal())
    found, states = look(recipe=recipes)
    assert [states[f"trial fake/{name}"] for name in recipes] == ["stored", "would run", "stored"]
    assert (
        next(step for step in found.steps if step.name == "trial fake/broken").reason
        == "the last time: RuntimeError: no memory"
    )
    assert (states["benchmark"], states["judge"], states["package"]) == ("stored", "stored", "would run")


def test_looking_says_nothing_of_a_search_under_way(events: list[Event]) -> None:
    run(fake_plan(), call=Rehearsal())
    begin = len(events)
    look()
    assert not [event for event in events[begin:] if event.kind == "note"]


def test_where_the_libraries_are_missing_it_says_so_and_pins_the_model() -> None:
    found, states = look(runtime={"fake": FakeRuntime(missing="no such device")})
    assert found.missing is not None
    assert "no such device" in found.missing
    assert found.plan.pinned is not None
    assert states["fetch"] == "depends"


def test_a_refusal_that_is_stored_ends_at_the_verdict() -> None:
    refused = {"floor": FakeCheck(floor=2.0)}
    assert run(fake_plan(gate=refused), call=Rehearsal()).rejection is not None
    _, states = look(gate=refused)
    assert states["judge"] == "stored"
    assert states["publish"] == "would run"
    assert "package" not in states


def test_an_unknown_model_is_an_error() -> None:
    with pytest.raises(SourceError, match="nosuch"):
        look(model="nosuch@x")
