"""The search's loop and a trial, on a line of fakes."""

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

from fdpipe.artifacts import Aspect, Candidate, CheckResult, Outcome, Record, Trial
from fdpipe.errors import NotApplicable, StoreError
from fdpipe.evidence import Evidence
from fdpipe.pipeline import run
from fdpipe.plan import Budget, Plan, Recipe
from fdpipe.progress import Event
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.search.auto import Auto
from fdpipe.search.grid import Grid
from fdpipe.space import Proposal, Space
from fdpipe.stages.survey import Survey
from fdpipe.testing import FakeCalibrator, FakePass, FakeQuantizer, FakeRuntime
from fdpipe.testing.rehearsal import Rehearsal, fake_plan
from fdpipe.trials import answering, aside, space_of

SHARES = {"slower": 2.0, "same": 1.0, "half": 0.5, "quarter": 0.25}


@pytest.fixture(autouse=True)
def _state(home: Path) -> None:
    """Every line has a state folder of its own."""


def plan(**changes: object) -> Plan:
    """Five recipes on two runtimes."""
    recipes = {name: Recipe(passes=(FakePass(share=share),)) for name, share in SHARES.items()}
    both = {"fake": FakeRuntime(), "other": FakeRuntime()}
    return fake_plan(**{"recipe": {"none": Recipe(), **recipes}, "runtime": both, "search": Auto(), **changes})


def searched(made: Plan) -> Record:
    return run(made, call=Rehearsal())


def tried(record: Record) -> list[str]:
    return [one.candidate.name for one in record.trials]


# --- the loop ---------------------------------------------------------------------------------------------------------


def test_there_is_always_a_verdict_however_few_trials_there_may_be() -> None:
    for trials in (1, 2, 4):
        record = searched(plan(budget=Budget(max_trials=trials)))
        assert len(record.trials) == trials
        assert record.verdict.outcome is Outcome.PASS
        assert record.deployment is not None


def test_a_search_without_time_ends_with_the_baseline(events: list[Event]) -> None:
    record = searched(plan(budget=Budget(max_seconds=1e-6)))
    assert tried(record) == ["fake/none"]
    assert record.deployment is not None
    assert any("the search ends:" in event.detail and "search.max_seconds=1e-06" in event.detail for event in events)


def test_each_trial_says_where_it_stands_and_why(events: list[Event]) -> None:
    record = searched(plan())
    notes = [event.detail for event in events if event.kind == "note" and event.step.startswith("trial ")]
    places = [one for one in notes if one.startswith("trial ")]
    assert places[0].startswith("trial 2 of about 10")
    assert [int(one.split()[1]) for one in places] == list(range(2, len(record.trials) + 1))
    assert all(one.why in notes for one in record.trials)


@dataclass(frozen=True, kw_only=True)
class Wishful:
    """Wants two at once, and the second no more once it has seen the first."""

    locates: ClassVar[bool] = False

    def propose(self, space: Space, trials: Sequence[Trial]) -> Sequence[Proposal]:
        wanted = [Candidate(runtime="fake", recipe=name) for name in ("half", "quarter")]
        return [Proposal(candidate=one) for one in wanted] if len(trials) == 1 else []

    def finalists(self, trials: Sequence[Trial]) -> Sequence[Trial]:
        return trials


def test_it_is_asked_again_after_each_trial() -> None:
    assert tried(searched(plan(search=Wishful()))) == ["fake/none", "fake/half"]


@dataclass
class Killer:
    """Calls the line's steps, and kills its own process before the trial of this number."""

    before: int
    seen: list[str] = field(default_factory=list)

    def __call__(self, step: Callable[..., object], /, *args: object, **kwargs: object) -> object:
        name = getattr(step, "name", "")
        if str(name).startswith("trial "):
            self.seen.append(str(name))
            if len(self.seen) == self.before:
                os.kill(os.getpid(), signal.SIGKILL)
        return Rehearsal()(step, *args, **kwargs)


@pytest.mark.parametrize("before", [2, 5, 9])
def test_a_search_that_was_killed_goes_on_where_it_was(before: int, events: list[Event]) -> None:
    child = os.fork()
    if child == 0:
        try:
            run(plan(), call=Killer(before=before))  # type: ignore[arg-type]
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    record = searched(plan())
    ends = [event.kind for event in events if event.step.startswith("trial ") and event.kind in ("reused", "done")]
    assert ends[: before - 1] == ["reused"] * (before - 1)
    assert "done" in ends[before - 1 :]
    again = searched(plan())
    assert tried(again) == tried(record), "the stored trials lead the same way"


def test_stored_trials_say_nothing_about_the_time(events: list[Event]) -> None:
    searched(plan())
    begin = len(events)
    searched(plan(budget=Budget(max_seconds=30)))
    notes = [event.detail for event in events[begin:] if event.kind == "note" and event.detail.startswith("trial ")]
    assert notes
    assert not any("left" in note for note in notes), "of stored trials nothing is known about the time"


# --- the space --------------------------------------------------------------------------------------------------------


def test_the_space_says_which_recipes_calibrate_and_quantize() -> None:
    recipes = {
        "none": Recipe(),
        "static": Recipe(calibrator=FakeCalibrator(), calibrators={"other": FakeCalibrator()}, quantizer=FakeQuantizer()),
        "dynamic": Recipe(quantizer=FakePass()),
    }
    record = searched(plan(recipe=recipes, budget=Budget(max_trials=1)))
    artifact = record.baseline.artifact
    space = space_of(plan(recipe=recipes), {"fake": FakeRuntime()}, artifact, Survey(operators={"MatMul": 3}))
    assert [(one.quantizes, one.calibrates, one.calibrators) for one in space.recipes.values()] == [
        (False, False, ()), (True, True, ("other",)), (True, False, ()),
    ]  # fmt: skip
    assert space.batch_sizes == (1,)
    assert space.operators == {"MatMul": 3}


# --- what is found out beside a trial ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Refuses:
    """A check of a kind of its own, which refuses one candidate."""

    aspect: ClassVar[Aspect] = Aspect.STABILITY
    candidate: str = ""

    def judge(self, evidence: Evidence) -> CheckResult:
        refused = evidence.candidate.name == self.candidate
        outcome = Outcome.FAIL if refused else Outcome.PASS
        return CheckResult(check="c", candidate="c", outcome=outcome, reason="because", figure=1.0, limit=0.0)


def test_a_refusal_says_what_it_is_about() -> None:
    record = searched(plan(gate={"mine": Refuses(candidate="fake/half")}))
    refused = {one.candidate.name: [(check.check, check.aspect) for check in one.refusals] for one in record.trials}
    assert refused["fake/half"] == [("mine", Aspect.STABILITY)]
    assert refused["fake/quarter"] == []
    assert {result.aspect for result in record.verdict.results} == {Aspect.STABILITY}


def test_a_failed_trial_has_its_reason_and_the_search_goes_on() -> None:
    recipes = {"none": Recipe(), "broken": Recipe(passes=(FakePass(breaks="no memory"),)), "half": plan().recipe["half"]}
    record = searched(plan(recipe=recipes, runtime={"fake": FakeRuntime()}))
    assert {one.candidate.recipe: one.reason for one in record.trials} == {
        "none": None, "broken": "RuntimeError: no memory", "half": None,
    }  # fmt: skip


def test_what_cannot_be_found_out_beside_a_trial_is_told(events: list[Event]) -> None:
    def broken() -> int:
        raise NotApplicable("the model is\nnone")

    assert aside(lambda: 3) == 3
    assert aside(broken) is None
    assert events[-1].detail == "not found out: the model is none"


def test_what_concerns_every_candidate_is_raised_all_the_same() -> None:
    def full() -> int:
        raise StoreError("the disk is full")

    with pytest.raises(StoreError):
        aside(full)


def test_what_is_far_slower_than_another_that_passes_is_not_asked_for_its_answers(events: list[Event]) -> None:
    shares = {"quarter": 0.25, "wrong": 0.05, "same": 1.0}
    recipes = {
        name: Recipe(passes=(FakePass(share=share, wrong_percent=50 if name == "wrong" else 0),))
        for name, share in shares.items()
    }
    record = searched(plan(recipe={"none": Recipe(), **recipes}, runtime={"fake": FakeRuntime()}))
    found = {one.candidate.recipe: one for one in record.trials}
    assert found["same"].evaluation is None
    assert "fake/quarter, which passes" in found["same"].beaten
    assert found["same"].speed is not None
    assert found["quarter"].succeeded
    assert found["wrong"].refusals, "what is refused beats nothing, however fast it is"
    assert not found["quarter"].beaten
    assert any(found["same"].beaten in event.detail for event in events)


def test_sessions_that_answer_alike_are_evaluated_once() -> None:
    less, busy, more = {"threads": 1, "arena": False}, {"threads": 1, "spinning": True}, {"threads": 2}
    assert answering(OnnxRuntime(), less) == answering(OnnxRuntime(), busy) != answering(OnnxRuntime(), more)
    assert answering(FakeRuntime(), {"threads": 1}) == {"threads": 1}


def test_the_front_wants_the_answers_of_all() -> None:
    record = searched(plan(search=Grid()))
    assert all(one.succeeded for one in record.trials)


@pytest.mark.parametrize(("worth", "where"), [((), ("fake", "other")), (("other",), ("other",)), (("no",), ("fake", "other"))])
def test_a_recipe_is_tried_where_it_is_worth_it(worth: tuple[str, ...], where: tuple[str, ...]) -> None:
    made = plan(recipe={"none": Recipe(), "half": Recipe(passes=(FakePass(share=0.5),), runtimes=worth)}, search=Grid())
    wanted = {f"{runtime}/half" for runtime in where} | {"fake/none", "other/none"}
    assert set(tried(searched(made))) == wanted
