"""What a candidate's process does, asked in this very process."""

import gc
import os
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from fdpipe.artifacts import Artifact
from fdpipe.errors import StageError
from fdpipe.race.runner import Runner, Surroundings, first_batch, line_of, peak_mib, serve, write_batches
from fdpipe.testing import INPUTS, OUTPUTS, DiaryRuntime, FakeModel, FakeRuntime


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """A runner switches it off for good, as it may in a process of its own."""
    yield
    gc.unfreeze()
    gc.enable()


@pytest.fixture
def batches(tmp_path: Path) -> Path:
    write_batches(tmp_path / "batches", [{"x": np.zeros((rows, 4), np.float32)} for rows in (1, 2, 3)])
    return tmp_path / "batches"


def model(folder: Path, microseconds: float = 0) -> Artifact:
    FakeModel(microseconds=microseconds).save(folder / "model.json")
    return Artifact(kind="onnx", path=folder / "model.json", digest="0", size_bytes=1, inputs=INPUTS, outputs=OUTPUTS)


def test_calls_are_timed_without_the_collector(tmp_path: Path, batches: Path) -> None:
    runner = Runner()
    load_ms, first_call_ms = runner.open(FakeRuntime(), model(tmp_path, 500), {}, batches)
    assert load_ms > 0
    assert first_call_ms >= 0.5
    assert not gc.isenabled()
    turn = runner.turn(batches, 0, 5)
    assert min(turn.spent_ns) >= 500_000
    assert turn.processor_ns > 0


def test_a_warm_up_ends_where_calls_become_no_faster_or_after_one_that_is_long(tmp_path: Path, batches: Path) -> None:
    runner, diary = Runner(), tmp_path / "diary"
    runner.open(DiaryRuntime(diary=diary), model(tmp_path, 2_000), {}, batches)

    def calls() -> int:
        return diary.read_text().count("x4")

    before = calls()
    assert runner.warm(batches, 4, 60, once=1_000_000) >= 2_000_000
    assert calls() == before + 1
    assert runner.warm(batches, 4, 60, once=float("inf")) >= 2_000_000
    assert before + 1 + 1 + 2 * 4 <= calls() < before + 200, "two groups at least"
    before = calls()
    assert runner.warm(batches, 0, 60, once=float("inf")) >= 2_000_000
    assert calls() == before + 1


def test_what_is_not_open_does_not_run(batches: Path) -> None:
    with pytest.raises(RuntimeError, match="only when it is open"):
        Runner().turn(batches, 0, 1)
    Runner().end()


def test_it_answers_until_it_is_told_to_end(tmp_path: Path, batches: Path) -> None:
    ours, theirs = Pipe()
    thread = Thread(target=serve, args=(theirs, Runner()))
    thread.start()
    assert ask(ours, "open", FakeRuntime(), model(tmp_path), {}, batches)[1] == ""
    assert ask(ours, "open", FakeRuntime(), model(tmp_path), {}, tmp_path / "none")[1].startswith("FileNotFoundError: ")
    peak, _ = ask(ours, "peak_mib", batches)
    assert peak == pytest.approx(peak_mib(), rel=0.1)
    assert ask(ours, "end") == (None, "")
    thread.join(30)
    assert not thread.is_alive()


def test_it_ends_when_nobody_asks_any_more() -> None:
    ours, theirs = Pipe()
    ours.close()
    serve(theirs, Runner())


def ask(connection: Connection, *words: object) -> tuple[object, str]:
    connection.send(words)
    answer: tuple[object, str] = connection.recv()
    return answer


def test_surroundings_are_those_of_the_one_that_measures() -> None:
    cores = frozenset(os.sched_getaffinity(0))
    found = Surroundings.of_this_process(cores)
    assert found.environment == dict(os.environ)
    assert found.cores == cores
    found.settle()
    assert Surroundings.of_this_process(cores) == found


def test_an_error_is_one_line_an_unexpected_one_with_its_kind() -> None:
    assert line_of(StageError("a\n b")) == "a b"
    assert line_of(ValueError("a\n b")) == "ValueError: a b"


def test_the_first_batch_is_read_alone(batches: Path) -> None:
    assert first_batch(batches)["x"].shape == (1, 4)
