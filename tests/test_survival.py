"""SIGKILL at every boundary of the line: the next run goes on from the last finished stage, and makes the same."""

import json
import logging
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from fdpipe.artifacts import Record
from fdpipe.pipeline import run
from fdpipe.plan import Plan, Recipe
from fdpipe.progress import Event
from fdpipe.store import LocalStore
from fdpipe.testing import FakeCalibrator, FakeDeployer, FakePass, FakeQuantizer, FakeSource
from fdpipe.testing.rehearsal import Rehearsal, fake_plan

STORED = {"fetch", "gather", "convert", "survey", "optimize", "calibrate", "quantize", "ready", "evaluate", "benchmark"}
STORED |= {"energy", "judge"}


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """With every stage that the line has."""
    return fake_plan(
        recipe={
            "none": Recipe(),
            "quantized": Recipe(passes=(FakePass(share=0.9),), calibrator=FakeCalibrator(), quantizer=FakeQuantizer(share=0.5)),
        },
        source=FakeSource(microseconds=20, published=tmp_path / "published"),
        deployer=FakeDeployer(record=tmp_path / "running"),
    )


@dataclass
class Listener(logging.Handler):
    """Collects the events, and kills its own process after so many of them."""

    kill_after: int = -1
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def __hash__(self) -> int:
        return id(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.events.append(record.event)  # type: ignore[attr-defined]
        if len(self.events) == self.kill_after:
            os.kill(os.getpid(), signal.SIGKILL)


def line(plan: Plan, kill_after: int = -1) -> tuple[Record, list[Event]]:
    listener = Listener(kill_after)
    log = logging.getLogger("fdpipe.progress")
    log.setLevel(logging.INFO)
    log.addHandler(listener)
    try:
        return run(plan, call=Rehearsal()), listener.events
    finally:
        log.removeHandler(listener)


def in_child(work: Callable[[], object]) -> int:
    """Fork a child that does it; its process id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def killed(plan: Plan, after: int) -> None:
    """Run the line in a child that is killed after so many events."""
    _, status = os.waitpid(in_child(lambda: line(plan, after)), 0)
    assert os.WIFSIGNALED(status), "the line had fewer events"
    assert os.WTERMSIG(status) == signal.SIGKILL


def identities(record: Record) -> dict[str, str]:
    """The digests of everything that does not hold a timing; which candidate is released depends on one."""
    found = {
        "data": record.data.evaluation.digest,
        "baseline": record.baseline.artifact.digest,
        "reference": record.baseline.reference.digest,
    }
    for trial in record.trials:
        assert trial.artifact is not None
        assert trial.evaluation is not None
        found[trial.candidate.name] = f"{trial.artifact.digest} {trial.evaluation.answers.digest}"
    return found


def computed(events: list[Event]) -> list[str]:
    """The stages that worked and whose result was stored."""
    return [event.step for event in events if event.kind == "done" and event.step in STORED]


@pytest.fixture
def whole(home: Path, plan: Plan) -> tuple[Record, list[Event]]:
    """A run that nobody killed."""
    return line(plan)


def test_the_line_survives_a_kill_at_every_boundary(
    whole: tuple[Record, list[Event]], plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, events = whole
    assert {event.step for event in events} >= STORED
    for after in range(1, len(events)):
        monkeypatch.setenv("FDPIPE_HOME", str(tmp_path / f"killed-{after}"))
        (tmp_path / "running").unlink(missing_ok=True)
        killed(plan, after)
        finished = computed(events[:after])
        again, replayed = line(plan)
        where = f"killed after {events[after - 1].kind} {events[after - 1].step}"
        assert identities(again) == identities(record), where
        assert again.release is not None
        assert record.release is not None
        if again.release.candidate == record.release.candidate:
            assert again.release.digest == record.release.digest, where
        reused = [event.step for event in replayed if event.kind == "reused" and event.step in STORED]
        assert all(reused.count(name) >= finished.count(name) for name in finished), where
        assert len(computed(replayed)) == len(computed(events)) - len(finished), where
        assert again.deployment is not None
        assert not list((tmp_path / f"killed-{after}/store/scratch").glob("*/*")), where
        shutil.rmtree(tmp_path / f"killed-{after}")


def test_the_registry_is_told_though_the_first_run_was_killed_just_before(home: Path, plan: Plan, tmp_path: Path) -> None:
    _, events = line(plan)
    before = next(number for number, event in enumerate(events) if event.step == "publish")
    shutil.rmtree(home)
    (tmp_path / "published").unlink()
    (tmp_path / "running").unlink()
    killed(plan, before + 1)
    assert not (tmp_path / "published").exists()
    record, _ = line(plan)
    assert record.deployment is not None
    assert not record.deployment.changed
    (told,) = (tmp_path / "published").read_text().splitlines()
    assert json.loads(told)["alias"] == "deployed-here"


def test_a_killed_run_leaves_a_store_that_can_be_used(home: Path, plan: Plan) -> None:
    killed(plan, 20)
    store = LocalStore(home / "store")
    assert store.entries()
    assert all(store.find(entry.stage, entry.key) for entry in store.entries())


def test_of_two_lines_at_once_each_stage_is_computed_once(home: Path, plan: Plan, tmp_path: Path) -> None:
    def write_events(number: int) -> None:
        _, events = line(plan)
        (tmp_path / f"events-{number}").write_text(json.dumps([(event.kind, event.step) for event in events]))

    children = [in_child(partial(write_events, number)) for number in range(2)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    both = [json.loads((tmp_path / f"events-{number}").read_text()) for number in range(2)]
    done = [step for events in both for kind, step in events if kind == "done" and step in STORED]
    entries = LocalStore(home / "store").entries()
    assert sorted(done) == sorted(entry.stage for entry in entries)
