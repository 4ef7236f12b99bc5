"""Who took the cores: others are told from a process' own threads, which push each other off."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from fdpipe.artifacts import Artifact
from fdpipe.race.lane import Lane
from fdpipe.race.runner import Surroundings, write_batches
from fdpipe.race.waits import Waits, taken_ns, waits
from fdpipe.testing import INPUTS, OUTPUTS, FakeModel, FakeRuntime

CORE = max(os.sched_getaffinity(0))
NEIGHBOURS = 3


def seen(*threads: tuple[int, int], pushed_off: int = 0) -> Waits:
    ran, waited = ({number: thread[which] for number, thread in enumerate(threads)} for which in (0, 1))
    return Waits(ran_ns=ran, waited_ns=waited, pushed_off=pushed_off)


@pytest.mark.parametrize(
    ("after", "taken"),
    [
        (seen((100, 0)), 0),
        (seen((70, 30), pushed_off=5), 30),
        (seen((50, 50), (50, 50), pushed_off=9), 0),
        (seen((40, 60), (40, 60), pushed_off=9), 20),
        (seen((90, 0), (0, 500)), 10),
    ],
    ids=[
        "nobody waited",
        "one thread",
        "two that push each other off",
        "two, and others beside them",
        "a wait that began before",
    ],
)
def test_what_the_other_threads_of_the_process_did_not_run_was_taken_by_others(after: Waits, taken: int) -> None:
    assert taken_ns(seen((0, 0), (0, 0)), after, 100) == taken


def test_a_thread_that_came_meanwhile_is_left_out() -> None:
    assert taken_ns(seen((0, 0)), seen((100, 0), (0, 100)), 100) == 0


def test_where_the_kernel_tells_no_waits_a_switch_counts(tmp_path: Path) -> None:
    assert waits(tmp_path).ran_ns == {}
    assert waits(tmp_path).pushed_off >= 0
    assert taken_ns(seen(pushed_off=3), seen(pushed_off=3), 100) == 0
    assert taken_ns(seen(pushed_off=3), seen(pushed_off=4), 100) == 100


def test_waits_are_those_of_this_process() -> None:
    found = waits()
    assert set(found.ran_ns) == set(map(int, os.listdir("/proc/self/task")))  # noqa: PTH208 - names alone


SPIN = "while True: pass"


@contextmanager
def neighbours() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that spin on the core, stopped."""
    every = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(NEIGHBOURS)]
    try:
        for one in every:
            os.sched_setaffinity(one.pid, {CORE})
            one.send_signal(signal.SIGSTOP)
        yield every
    finally:
        for one in every:
            one.kill()
            one.wait()


@contextmanager
def loud(every: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """They work."""
    for one in every:
        one.send_signal(signal.SIGCONT)
    yield
    for one in every:
        one.send_signal(signal.SIGSTOP)


TWO_THREADS = """
import hashlib, os, sys, threading, time
from fdpipe.race.waits import taken_ns, waits
os.sched_setaffinity(0, {int(sys.argv[1])})
data = bytes(1 << 20)
def work(ends):
    while time.perf_counter() < ends:
        hashlib.sha256(data)  # the interpreter's lock is not held meanwhile
threading.Thread(target=work, args=(time.perf_counter() + 600,), daemon=True).start()
for line in sys.stdin:
    before, began = waits(), time.perf_counter_ns()
    work(time.perf_counter() + 0.04)
    passed = time.perf_counter_ns() - began
    after = waits()
    print(after.pushed_off - before.pushed_off, taken_ns(before, after, passed) / passed, flush=True)
"""


def test_a_neighbour_is_told_from_threads_that_push_each_other_off() -> None:
    """Two busy threads on one core, in turns alone and beside neighbours; others of this machine may disturb both."""
    process = subprocess.Popen(
        [sys.executable, "-c", TWO_THREADS, str(CORE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdin is not None
    assert process.stdout is not None
    pushed_off, quiet, disturbed = [0.0], [0.0], [0.0]

    def ask() -> list[float]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        return [float(word) for word in process.stdout.readline().split()]

    try:
        ask()
        with neighbours() as every:
            for _ in range(15):
                pushes, taken = ask()
                pushed_off.append(pushes)
                quiet.append(taken)
                with loud(every):
                    disturbed.append(ask()[1])
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
    assert sum(pushed_off) > 0, "they did push each other off"
    assert sum(quiet) < sum(disturbed)


def test_a_turn_beside_neighbours_is_disturbed(tmp_path: Path) -> None:
    FakeModel(microseconds=5000).save(tmp_path / "model.json")
    artifact = Artifact(kind="onnx", path=tmp_path / "model.json", digest="0", size_bytes=1, inputs=INPUTS, outputs=OUTPUTS)
    write_batches(tmp_path / "batches", [{"x": np.zeros((1, 4), np.float32)}])
    lane = Lane(Surroundings.of_this_process(frozenset({CORE})), 60)
    try:
        lane.open(FakeRuntime(), artifact, {}, tmp_path / "batches")
        with neighbours() as every, loud(every):
            assert any(lane.turn(tmp_path / "batches", 0, 4, settling=False).disturbed for _ in range(20))
    finally:
        lane.kill()
