"""A process of a candidate's own: asked, lost with a line, and gone when nobody asks any more."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest

from fdpipe.artifacts import Artifact
from fdpipe.interfaces import Session
from fdpipe.race.lane import Lane, Lost
from fdpipe.race.runner import Runner, Surroundings, write_batches
from fdpipe.testing import INPUTS, OUTPUTS, DiaryRuntime, FakeEngine, FakeModel, FakeRuntime, Fault, FaultyRuntime, HeavyRuntime

EVERY = frozenset(os.sched_getaffinity(0))


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    FakeModel().save(tmp_path / "model.json")
    return Artifact(kind="onnx", path=tmp_path / "model.json", digest="0", size_bytes=1, inputs=INPUTS, outputs=OUTPUTS)


@pytest.fixture
def batches(tmp_path: Path) -> Path:
    write_batches(tmp_path / "batches", [{"x": np.zeros((rows, 4), np.float32)} for rows in (1, 2, 3)])
    return tmp_path / "batches"


@pytest.fixture
def lane() -> Iterator[Lane]:
    one = Lane(Surroundings.of_this_process(EVERY), 30)
    yield one
    one.kill()


def test_it_opens_warms_up_and_answers_in_turn(lane: Lane, artifact: Artifact, batches: Path, tmp_path: Path) -> None:
    load_ms, first_call_ms = lane.open(DiaryRuntime(diary=tmp_path / "diary"), artifact, {}, batches)
    assert load_ms > 0
    assert first_call_ms > 0
    assert lane.warm(batches, 3, 0.05, float("inf")) > 0
    before = (tmp_path / "diary").read_text().count("\n")
    turn = lane.turn(batches, 2, 3, settling=False)
    assert len(turn.spent_ns) == 3
    assert min(turn.spent_ns) > 0
    assert turn.processor_ns > 0
    process, *_ = (tmp_path / "diary").read_text().split()
    assert (tmp_path / "diary").read_text().splitlines()[before:] == [f"{process} {rows}x4" for rows in (3, 1, 2)]
    lane.turn(batches, 1, 1, settling=True)
    settled = (tmp_path / "diary").read_text().splitlines()[before + 3 :]
    assert len(settled) >= 2
    assert set(settled) == {f"{process} 2x4"}, "the batch that is timed"
    lane.end()
    assert (tmp_path / "diary").read_text().endswith("close\n")
    assert not psutil.pid_exists(int(process))


def test_it_has_the_surroundings_that_it_is_given(artifact: Artifact, batches: Path, tmp_path: Path) -> None:
    os.environ["FDPIPE_TEST_WORD"] = "found"
    lane = Lane(Surroundings.of_this_process(frozenset({max(EVERY)})), 30)
    try:
        lane.open(DiaryRuntime(diary=tmp_path / "diary"), artifact, {}, batches)
        process = psutil.Process(int((tmp_path / "diary").read_text().split()[0]))
        assert process.cpu_affinity() == [max(EVERY)]
        assert process.cwd() == str(Path.cwd())
    finally:
        lane.kill()


def test_its_memory_is_its_own(lane: Lane, artifact: Artifact, batches: Path) -> None:
    ballast = np.ones(400 << 17)
    lane.open(HeavyRuntime(held_mib=150), artifact, {}, batches)
    assert 150 < lane.peak_mib(batches) < 300 < ballast.nbytes / 2**20


def test_an_error_is_a_line_and_the_process_can_be_asked_again(lane: Lane, artifact: Artifact, batches: Path) -> None:
    with pytest.raises(Lost, match=r"^it was made to fail$"):
        lane.open(FaultyRuntime(fault=Fault.RAISES), artifact, {}, batches)
    with pytest.raises(Lost, match=r"^FileNotFoundError: "):
        lane.open(FakeRuntime(), artifact, {}, batches.with_name("nothing"))
    lane.open(FakeRuntime(), artifact, {}, batches)


def test_one_that_dies_is_lost_at_once(lane: Lane, artifact: Artifact, batches: Path) -> None:
    with pytest.raises(Lost, match=r"^its process died: SIGKILL$"):
        lane.open(FaultyRuntime(fault=Fault.DIES), artifact, {}, batches)
    lane.end()


def test_one_that_hangs_is_killed_when_its_time_is_up(artifact: Artifact, batches: Path, tmp_path: Path) -> None:
    lane = Lane(Surroundings.of_this_process(EVERY), 2)
    lane.open(FaultyRuntime(fault=Fault.HANGS, calls=1), artifact, {}, batches)
    with pytest.raises(Lost, match=r"^it hung: no answer within 2 s$"):
        lane.turn(batches, 0, 1, settling=False)
    lane.end()


@dataclass(frozen=True, kw_only=True)
class HungUp(FakeRuntime):
    """Closes all files of its process, the connection to the one that measures among them, and stays."""

    def open(self, artifact: Artifact, session: Session) -> FakeEngine:
        """Never."""
        os.closerange(3, 1024)
        time.sleep(3600)
        return super().open(artifact, session)


class LingeringEngine(FakeEngine):
    """Its destruction never ends."""

    def __del__(self) -> None:
        time.sleep(3600)


@dataclass(frozen=True, kw_only=True)
class Lingering(FakeRuntime):
    """Opens what cannot be got rid of, beside a thread that does not end by itself."""

    def open(self, artifact: Artifact, session: Session) -> FakeEngine:
        """Read the file."""
        threading.Thread(target=time.sleep, args=(3600,)).start()
        return LingeringEngine(FakeModel.load(artifact.path))


def test_one_that_hangs_up_and_stays_is_killed(lane: Lane, artifact: Artifact, batches: Path) -> None:
    process = psutil.Process(lane._process)
    with pytest.raises(Lost, match=r"^it hung: its process answers no more, and did not end until it was killed$"):
        lane.open(HungUp(), artifact, {}, batches)
    assert not process.is_running()
    lane.end()


def test_one_that_would_linger_leaves_at_its_end(lane: Lane, artifact: Artifact, batches: Path) -> None:
    lane.open(Lingering(), artifact, {}, batches)
    process = lane._process
    assert lane.work(batches, 0.01) >= 1
    lane._ask(Runner.end)
    with pytest.raises(Lost, match=r"^its process died: exit status 0$"):
        lane.turn(batches, 0, 1, settling=False)
    assert not psutil.pid_exists(process)


def test_a_stopped_nursery_is_not_waited_for_for_ever(artifact: Artifact, batches: Path) -> None:
    """In a process of its own, since it ends all that is measured there."""
    done = subprocess.run([sys.executable, "-c", STOPPED], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "the process that starts a benchmark's candidates is gone; was it killed?\n", done.stderr


STOPPED = """
import os, signal
from fdpipe.errors import StageError
from fdpipe.race import lane
from fdpipe.race.runner import Surroundings
one = lane.Lane(Surroundings.of_this_process(frozenset(os.sched_getaffinity(0))), 30)
nursery = lane._nursery(os.getpid())
nursery._control.settimeout(3)
os.kill(nursery._process.pid, signal.SIGSTOP)
try:
    lane.Lane(Surroundings.of_this_process(frozenset(os.sched_getaffinity(0))), 30)
except StageError as error:
    print(error)
"""

PARENT = """
import os, sys, time
from fdpipe.race.lane import Lane
from fdpipe.race.runner import Surroundings
lanes = [Lane(Surroundings.of_this_process(frozenset(os.sched_getaffinity(0))), 30) for _ in range(2)]
print(*(lane._process for lane in lanes), flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_runners_die_with_the_process_that_measures(how: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert parent.stdout is not None
    runners = [int(word) for word in parent.stdout.readline().split()]
    assert len(runners) == 2
    assert all(psutil.pid_exists(runner) for runner in runners)
    parent.send_signal(how)
    parent.wait(30)
    parent.stdout.close()
    for _ in range(600):
        if not any(psutil.pid_exists(runner) for runner in runners):
            return
        time.sleep(0.05)
    pytest.fail("the runners live on")
