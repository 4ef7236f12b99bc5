"""The history: each benchmark once, what became of it, by machine, in a database that several processes share."""

import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fdpipe.artifacts import Interval, Record
from fdpipe.errors import ConfigError, StoreError
from fdpipe.history import FILE, Fate, History
from fdpipe.home import open_home
from fdpipe.pipeline import run
from fdpipe.progress import Event
from fdpipe.runs import RunFolder
from fdpipe.testing import FakeBuilder, FakeCheck, FakeDeployer
from fdpipe.testing.rehearsal import Rehearsal, fake_plan
from tests.states import own_state


@pytest.fixture(autouse=True)
def _state(home: Path) -> None:
    """Every line has a state folder of its own."""


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Of a run that deployed."""
    folder = tmp_path_factory.mktemp("run")
    with own_state(folder / "home"):
        return run(fake_plan(deployer=FakeDeployer(record=folder / "running")), call=Rehearsal())


@pytest.fixture
def record(deployed: Record) -> Record:
    """The same, in this test's history."""
    History.of(open_home()).keep(deployed)
    return deployed


def test_a_run_keeps_its_benchmark(home: Path, tmp_path: Path) -> None:
    record = run(fake_plan(deployer=FakeDeployer(record=tmp_path / "running")), call=Rehearsal())
    found = History.of(home).entries("fake")
    assert {one.candidate: one.standing for one in found} == {"fake/half": Fate.DEPLOYED, "fake/none": Fate.MEASURED}
    half, none = found
    assert record.release is not None
    assert (half.release, none.release) == (record.release.digest, None)
    assert (half.model, half.version, half.target, half.baseline) == ("fake", record.model.version, "here", "fake/none")
    assert half.machine == record.measured.machine
    assert half.measurement == record.measured.of("fake/half")
    assert half.ratio == record.measured.overall("fake/half")
    assert none.ratio == Interval(low=1, middle=1, high=1)
    assert half.benchmark == none.benchmark
    assert half.threads == record.measured.threads


def test_a_benchmark_from_the_store_is_kept_once(home: Path, tmp_path: Path) -> None:
    run(fake_plan(), call=Rehearsal())
    first = History.of(home).entries("fake")
    assert {one.standing for one in first} == {Fate.CHOSEN, Fate.MEASURED}, "a dry run deploys nothing"
    run(fake_plan(deployer=FakeDeployer(record=tmp_path / "running")), call=Rehearsal())
    second = History.of(home).entries("fake")
    assert [one.time for one in second] == [one.time for one in first]
    assert second[0].standing is Fate.DEPLOYED
    assert second[0].release


def test_what_was_deployed_once_stays_so(home: Path, record: Record) -> None:
    before = History.of(home).entries("fake")
    History.of(home).keep(replace(record, release=None, deployment=None))
    assert History.of(home).entries("fake") == before


def test_a_figure_of_energy_does_not_make_it_another_benchmark(home: Path, record: Record) -> None:
    before = History.of(home).entries("fake")
    History.of(home).keep(replace(record, measured=replace(record.measured, energy={})))
    assert len(History.of(home).entries("fake")) == len(before)


def test_a_refused_run_is_kept_and_chose_nothing(home: Path) -> None:
    run(fake_plan(gate={"floor": FakeCheck(floor=1.1)}), call=Rehearsal())
    assert {one.standing for one in History.of(home).entries("fake")} == {Fate.MEASURED}


def test_where_nothing_was_measured_nothing_is_kept(home: Path) -> None:
    plan = fake_plan(runtime={"fake": FakeBuilder(elsewhere="there is no GPU")})
    run(plan, call=Rehearsal())
    assert History.of(home).entries("fake") == ()


def test_models_and_targets_are_kept_apart(home: Path, record: Record) -> None:
    history = History.of(home)
    history.keep(replace(record, model=replace(record.model, name="other"), target="there"))
    assert history.models() == ("fake", "other")
    assert {one.target for one in history.entries("other")} == {"there"}
    assert history.entries("other", "here") == ()
    assert len(history.entries("fake", "here")) == 2


def test_several_processes_begin_it_and_write_at_once(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deployed: Record
) -> None:
    code = """
import sys
from dataclasses import replace
from pathlib import Path
from fdpipe.history import History
from fdpipe.runs import RunFolder
home, number = Path(sys.argv[1]), int(sys.argv[2])
record = RunFolder(home / "runs" / "one", home / "store").record()
for version in range(5):
    History.of(home).keep(replace(record, model=replace(record.model, version=f"{number}.{version}")))
"""
    folder = RunFolder(home / "runs" / "one", deployed.data.evaluation.path.parents[3])
    folder.path.mkdir(parents=True)
    folder.save_record(deployed)
    monkeypatch.setenv("FDPIPE_HISTORY", f"sqlite:///{tmp_path / 'shared.sqlite'}")
    writers = [subprocess.Popen([sys.executable, "-c", code, str(home), str(number)]) for number in range(3)]
    assert [one.wait(timeout=120) for one in writers] == [0, 0, 0]
    assert len(History.of(home).entries("fake")) == 3 * 5 * 2


# --- where it is ------------------------------------------------------------------------------------------------------


def test_another_database_by_its_url(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Record) -> None:
    monkeypatch.setenv("FDPIPE_HISTORY", f"sqlite:///{tmp_path / 'shared.sqlite'}")
    History.of(home).keep(record)
    assert (tmp_path / "shared.sqlite").is_file()
    assert len(History.of(home).entries("fake")) == 2


@pytest.mark.parametrize("url", ["nonsense", "nosuch://me:secret@host/name"])
def test_what_is_no_database_is_one_line_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match=r"FDPIPE_HISTORY=.*; write it as postgresql") as caught:
        History(url)
    assert "secret" not in str(caught.value)


def test_one_in_another_form_is_left_alone(home: Path, record: Record) -> None:
    with sqlite3.connect(home / FILE) as rows:
        rows.execute("UPDATE history_schema SET version = 7")
    with pytest.raises(ConfigError, match="has schema 7, this fdpipe reads 1: move it away or set FDPIPE_HISTORY"):
        History.of(home)


def test_a_damaged_file_is_one_line(home: Path, tmp_path: Path) -> None:
    (tmp_path / "damaged.sqlite").write_bytes(b"no database at all, but long enough to be read as one" * 100)
    with pytest.raises(StoreError, match=r"the history of benchmarks .*damaged.sqlite cannot be used"):
        History(f"sqlite:///{tmp_path / 'damaged.sqlite'}")


def test_a_history_that_cannot_be_written_fails_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: list[Event]
) -> None:
    monkeypatch.setenv("FDPIPE_HISTORY", f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.sqlite'}")
    record = run(fake_plan(), call=Rehearsal())
    assert record.deployment is not None
    assert any("the benchmark is not kept in the history" in event.detail for event in events)
