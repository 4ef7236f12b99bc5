"""A run keeps everything about itself, whatever comes of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from fdpipe.artifacts import Outcome
from fdpipe.errors import ConfigError, DeploymentError, Exit, SourceError, StageError
from fdpipe.execution import Execution, error_code, execute, execute_all, exit_code, gravest
from fdpipe.plan import Plan
from fdpipe.runs import Runs
from fdpipe.testing import FakeCheck, FakeDeployer
from fdpipe.testing.rehearsal import Rehearsal, fake_plan

P = ParamSpec("P")
T = TypeVar("T")


@pytest.fixture(autouse=True)
def _state(home: Path) -> None:
    """Every run has a state folder of its own."""


def rehearse(plan: Plan) -> Execution:
    return execute(plan, call=Rehearsal(), trigger="test")


def test_a_run_keeps_plan_events_record_state_and_report(home: Path) -> None:
    plan = fake_plan()
    execution = rehearse(plan)
    folder = Runs(home).get(None)
    assert folder == execution.folder
    assert folder.plan() == plan
    assert folder.record() == execution.record
    assert [event.step for event in folder.events() if event.kind == "done"][-2:] == ["publish", "draw"]
    assert folder.report.read_text().lower().startswith("<!doctype html>")
    assert json.loads((folder.path / "report.json").read_text())
    state = folder.state()
    assert (state.model, state.target, state.trigger, state.exit_code) == ("fake@candidate", "here", "test", 0)
    assert state.ended is not None
    assert state.ended >= state.started
    assert state.summary == "fake/half at no address (dry run)"
    assert execution.exit_code is Exit.DONE


@pytest.mark.parametrize(
    ("outcome", "code", "word"),
    [
        (Outcome.FAIL, Exit.REJECTED, "rejected"),
        (Outcome.INCONCLUSIVE, Exit.INCONCLUSIVE, "inconclusive"),
        (Outcome.ANOMALOUS, Exit.ANOMALOUS, "anomalous"),
    ],
)
def test_a_refusal_has_its_own_exit_code_word_and_a_report(outcome: Outcome, code: Exit, word: str) -> None:
    execution = rehearse(fake_plan(gate={"floor": FakeCheck(floor=1.1, outcome=outcome)}))
    assert execution.exit_code is code
    assert exit_code(execution.record) is code
    assert execution.folder.state().exit_code == code
    assert execution.folder.state().summary.startswith(f"{word}: floor: ")
    assert execution.folder.report.exists()


def test_an_error_is_kept_and_raised_as_it_is(home: Path) -> None:
    with pytest.raises(DeploymentError, match="the port belongs to nginx") as caught:
        rehearse(fake_plan(deployer=FakeDeployer(fails="the port belongs to nginx")))
    folder = Runs(home).get(None)
    assert folder.state().exit_code == Exit.DEPLOYMENT
    assert folder.state().summary == "the port belongs to nginx"
    assert folder.record() is None
    assert "DeploymentError" in (folder.path / "traceback.txt").read_text()
    assert str(folder.path) in caught.value.__notes__[0]


def test_an_interrupt_is_kept_too(home: Path) -> None:
    def interrupt(step: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(fake_plan(), call=interrupt)
    assert Runs(home).get(None).state().exit_code == Exit.INTERRUPTED


def test_events_of_one_run_do_not_go_into_another(home: Path) -> None:
    first = rehearse(fake_plan())
    count = len(first.folder.events())
    rehearse(fake_plan())
    assert len(first.folder.events()) == count


def test_one_that_fails_does_not_keep_the_others_from_running() -> None:
    plans = [fake_plan(model="nosuch"), fake_plan(), fake_plan(gate={"floor": FakeCheck(floor=1.1)})]
    missing, done, refused = execute_all(plans, rehearse)
    assert isinstance(missing, SourceError)
    assert isinstance(done, Execution)
    assert isinstance(refused, Execution)
    assert gravest([done, refused]) is Exit.REJECTED
    assert gravest([done, missing, refused]) is Exit.SOURCE
    assert gravest([done]) is Exit.DONE
    assert gravest([missing, ValueError("a bug")]) is Exit.INTERNAL


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), Exit.CONFIGURATION),
        (StageError("x"), Exit.STAGE),
        (ValueError("x"), Exit.INTERNAL),
        (KeyboardInterrupt(), Exit.INTERRUPTED),
    ],
)
def test_errors_have_their_exit_codes(error: BaseException, code: Exit) -> None:
    assert error_code(error) is code
