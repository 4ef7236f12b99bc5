"""`fdpipe trend`: what was chosen, by machine, and an exit code of its own for what has become slower."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from fdpipe.artifacts import Interval, Record
from fdpipe.cli import call
from fdpipe.cli.session import Session
from fdpipe.cli.streams import Streams
from fdpipe.errors import Exit
from fdpipe.history import History
from fdpipe.home import open_home
from fdpipe.pipeline import run
from fdpipe.testing import FakeCheck, FakeDeployer
from fdpipe.testing.rehearsal import Rehearsal, fake_plan
from tests.states import own_state


def trend(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = call(Session(streams=Streams(out, err)), ["trend", *words])
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Of a run that deployed."""
    folder = tmp_path_factory.mktemp("run")
    with own_state(folder / "home"):
        return run(fake_plan(deployer=FakeDeployer(record=folder / "running")), call=Rehearsal())


@pytest.fixture
def record(home: Path, deployed: Record) -> Record:
    """The same, in this test's history."""
    History.of(open_home()).keep(deployed)
    return deployed


def again(record: Record, version: str, slower: float) -> Record:
    """A later run whose choice takes so many times as long beside its own baseline."""

    def scaled(ratio: Interval | None) -> Interval | None:
        if ratio is None:
            return None
        return Interval(low=ratio.low * slower, middle=ratio.middle * slower, high=ratio.high * slower)

    own = tuple(
        replace(one, timings=tuple(replace(timing, ratio=scaled(timing.ratio)) for timing in one.timings))
        for one in record.measured.measurements
    )
    model, measured = replace(record.model, version=version), replace(record.measured, measurements=own)
    return replace(record, model=model, measured=measured)


def test_the_first_release_has_nothing_before_it(record: Record) -> None:
    code, out, err = trend("model=fake@candidate", "+target=here")
    assert (code, err) == (Exit.DONE, "")
    assert "fake on here" in out
    assert "fake/half" in out
    assert "there is no release before the newest on this machine" in out
    assert record.release is not None
    assert record.release.digest[:12] in out


def test_a_regression_has_an_exit_code_and_says_what_is_compared(home: Path, record: Record) -> None:
    History.of(home).keep(again(record, "2", slower=50))
    code, out, _ = trend("model=fake")
    assert code == Exit.REJECTED
    assert "version 2 beside the last release (1): a regression: its relative time grew by 4900.0%" in out
    assert "the p50 of a call, on another day, is 1.00 times that one's" in out
    code, out, _ = trend("model=fake", "above=100")
    assert code == Exit.DONE
    assert "no more than 10000%" in out


def test_what_is_as_fast_is_none(home: Path, record: Record) -> None:
    History.of(home).keep(again(record, "2", slower=1.0))
    code, out, _ = trend("model=fake")
    assert (code, "did not grow" in out) == (Exit.DONE, True)


def test_as_json(home: Path, record: Record) -> None:
    History.of(home).keep(again(record, "2", slower=50))
    code, out, _ = trend("model=fake", "--json")
    data = json.loads(out)
    assert code == data["exit_code"] == Exit.REJECTED
    (series,) = data["series"]
    assert (series["target"], series["change"]["regressed"]) == ("here", True)
    assert [entry["version"] for entry in series["entries"]] == ["1", "2"]
    assert series["entries"][0]["measurement"]["candidate"] == "fake/half"
    assert series["machine"]["fingerprint"] == record.measured.machine.fingerprint


def test_a_history_in_which_nothing_was_chosen(home: Path) -> None:
    run(fake_plan(gate={"floor": FakeCheck(floor=1.1)}), call=Rehearsal())
    code, out, _ = trend("model=fake")
    assert (code, out) == (Exit.DONE, "fake: 2 measurements are kept; no run chose a candidate that was measured\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "say of which model: fdpipe trend model=NAME"),
        (("model=fak",), "there is no benchmark of 'fak' in the history: choose from fake"),
        (("model=fake", "+target=gpu"), "no benchmark of fake for target=gpu in the history: choose from here"),
        (("model=fake", "gate.max_drop=1"), "gate.max_drop=1 is not known to `fdpipe trend`"),
        (("model=fake", "model=other"), "model= is given twice: write it once (model=fake or model=other)"),
        (("model=fake", "above=much"), "above=much is no share"),
        (("model=fake", "above=nan"), "above=nan is no share"),
    ],
)
def test_a_mistake_is_one_line(record: Record, words: tuple[str, ...], told: str) -> None:
    code, out, err = trend(*words)
    assert (code, out) == (Exit.CONFIGURATION, "")
    assert told in err
    assert len(err.splitlines()) == 1
