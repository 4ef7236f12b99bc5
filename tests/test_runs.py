"""The history of runs."""

from pathlib import Path

import pytest

from fdpipe.errors import ConfigError
from fdpipe.progress import Event
from fdpipe.runs import Runs
from fdpipe.testing.rehearsal import fake_plan


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def test_there_may_be_none(runs: Runs) -> None:
    assert runs.all() == []
    with pytest.raises(ConfigError, match="there is no run yet"):
        runs.get(None)


def test_a_run_under_way_has_neither_end_nor_record(runs: Runs) -> None:
    folder = runs.start(fake_plan(), "cli", 123)
    state = folder.state()
    assert (state.id, state.pid, state.ended, state.exit_code) == (folder.id, 123, None, None)
    assert folder.plan() == fake_plan()
    assert folder.events() == []
    assert folder.record() is None


def test_the_newest_comes_first_and_a_run_is_found_by_the_start_of_its_name(runs: Runs) -> None:
    folders = [runs.start(fake_plan(), "cli", 1) for _ in range(3)]
    assert runs.all() == folders[::-1]
    assert runs.get(folders[1].id) == folders[1]
    assert runs.get(folders[1].id[:-1]) == folders[1]
    with pytest.raises(ConfigError, match="'nosuch'"):
        runs.get("nosuch")


def test_events_are_kept_in_order(runs: Runs) -> None:
    folder = runs.start(fake_plan(), "cli", 1)
    events = [Event(kind="start", step="fetch", depth=0), Event(kind="done", step="fetch", depth=0, seconds=0.5)]
    for event in events:
        folder.append(event)
    assert folder.events() == events


def test_a_last_line_that_was_cut_off_by_a_kill_is_left_out(runs: Runs) -> None:
    folder = runs.start(fake_plan(), "cli", 1)
    folder.append(Event(kind="start", step="fetch", depth=0))
    with (folder.path / "events.jsonl").open("a") as stream:
        stream.write('{"kind":"do')
    assert [event.step for event in folder.events()] == ["fetch"]
