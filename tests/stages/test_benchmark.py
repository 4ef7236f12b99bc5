"""The benchmark finds what is slower, by how much, and is fair to two of the same; no wall-clock limits are asserted."""

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fdpipe.arrays import save_arrays
from fdpipe.artifacts import Artifact, Candidate, Measured, Pace, Rows
from fdpipe.errors import StageError
from fdpipe.plan import Benchmark
from fdpipe.progress import Event
from fdpipe.race.course import IMPRESSION_SITTINGS, SITTINGS
from fdpipe.race.intervals import FEWEST_SITTINGS
from fdpipe.stages.benchmark import Contender, benchmark, cores, threads
from fdpipe.store import LocalStore
from fdpipe.testing import (
    INPUTS,
    OUTPUTS,
    DiaryRuntime,
    FakeModel,
    FakeProcessor,
    FakeRuntime,
    Fault,
    FaultyRuntime,
    HeavyRuntime,
)
from fdpipe.workers import spec

SHORT = Benchmark(batch_sizes=(1, 8), seconds=0.3, trial_seconds=0.1, warmup_calls=2, memory=False)


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    features = {"x": np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)}
    digest = save_arrays(tmp_path / "rows.npz", features)
    return Rows(role="evaluation", path=tmp_path / "rows.npz", digest=digest, count=20, labelled=False)


def busy(microseconds: float, runtime: FakeRuntime | None = None) -> tuple[FakeRuntime, FakeModel]:
    return runtime or FakeRuntime(), FakeModel(microseconds=microseconds)


def measure(folder: Path, rows: Rows, *pairs: tuple[FakeRuntime, FakeModel], settings: Benchmark = SHORT) -> Measured:
    contenders = tuple(contender(folder, number, runtime, model) for number, (runtime, model) in enumerate(pairs))
    return benchmark.work(folder, contenders, spec("processor", FakeProcessor()), rows, settings)


def contender(folder: Path, number: int, runtime: FakeRuntime, model: FakeModel) -> Contender:
    path = folder / f"model{number}.json"
    model.save(path)
    artifact = Artifact(kind="onnx", path=path, digest=str(number), size_bytes=123, inputs=INPUTS, outputs=OUTPUTS)
    return Contender(candidate=Candidate(runtime=f"fake{number}", recipe="none"), runtime=runtime, artifact=artifact)


def test_twice_the_time_is_a_ratio_of_two(tmp_path: Path, rows: Rows) -> None:
    found = measure(tmp_path, rows, busy(200), busy(400), busy(100))
    _, slow, fast = found.measurements
    for size, slower, faster in zip(SHORT.batch_sizes, slow.timings, fast.timings, strict=True):
        assert slower.ratio is not None
        assert faster.ratio is not None
        assert slower.batch == size
        assert slower.ratio.low > 1.03
        assert slower.ratio.low <= slower.ratio.middle <= slower.ratio.high
        assert slower.ratio.middle == pytest.approx(2, rel=0.2)
        assert faster.ratio.high < 1


def test_two_of_the_same_are_not_told_apart(tmp_path: Path, rows: Rows) -> None:
    found = measure(tmp_path, rows, busy(300), busy(300))
    for timing in found.measurements[1].timings:
        assert timing.ratio is not None
        assert timing.ratio.low <= 1.01
        assert timing.ratio.high >= 0.99


def test_figures(tmp_path: Path, rows: Rows) -> None:
    found = measure(tmp_path, rows, busy(200), busy(200))
    assert found.baseline == "fake0/none"
    assert found.threads == len(os.sched_getaffinity(0))
    first = found.measurements[0]
    assert all(timing.ratio is None for timing in first.timings)
    assert first.size_bytes == 123
    assert first.peak_rss_mib is None
    assert first.load_ms is not None
    assert first.load_ms > 0
    assert first.first_call_ms is not None
    assert first.first_call_ms >= 0.2
    for timing in first.timings:
        assert timing.calls >= 10
        assert 0.2 <= timing.p50_ms <= timing.p90_ms <= timing.p99_ms
        assert timing.rows_per_s <= timing.batch / 200e-6


def test_the_baseline_alone_has_figures_but_no_ratio(tmp_path: Path, rows: Rows) -> None:
    found = measure(tmp_path, rows, busy(0))
    assert [timing.ratio for timing in found.measurements[0].timings] == [None, None]


def diary(folder: Path) -> list[list[str]]:
    """Process and event of each line, the lines of a process together."""
    lines = [line.split() for line in (folder / "diary").read_text().splitlines()]
    return [line for process in dict.fromkeys(process for process, _ in lines) for line in lines if line[0] == process]


def noted(folder: Path, microseconds: float = 0) -> tuple[FakeRuntime, FakeModel]:
    return busy(microseconds, DiaryRuntime(diary=folder / "diary"))


def test_every_batch_is_full_and_every_sitting_has_new_processes_that_open_and_close(tmp_path: Path, rows: Rows) -> None:
    found = measure(tmp_path, rows, busy(300), noted(tmp_path), busy(300))
    events = diary(tmp_path)
    opened = [number for number, (_, event) in enumerate(events) if event == "open"]
    assert FEWEST_SITTINGS <= len(opened) <= SITTINGS
    assert len({process for process, _ in events}) == len(opened)
    assert str(os.getpid()) not in {process for process, _ in events}
    assert [events[number - 1][1] for number in (*opened[1:], 0)] == ["close"] * len(opened)
    assert {event for _, event in events} == {"open", "close", "1x4", "8x4"}
    assert f"after {len(opened)} sittings" in found.ended


def test_more_rows_than_there_are(tmp_path: Path, rows: Rows) -> None:
    measure(tmp_path, rows, noted(tmp_path), settings=replace(SHORT, batch_sizes=(50,)))
    assert {event for _, event in diary(tmp_path)} == {"open", "close", "50x4"}


def test_sequences_are_cut_or_repeated_to_the_lengths(tmp_path: Path, rows: Rows) -> None:
    settings = replace(SHORT, batch_sizes=(2,), lengths=(7, 3))
    one = contender(tmp_path, 0, *noted(tmp_path))
    tokens = replace(one, artifact=replace(one.artifact, inputs=(replace(INPUTS[0], shape=("rows", "tokens")),)))
    found = benchmark.work(tmp_path, (tokens,), spec("processor", FakeProcessor()), rows, settings)
    assert [(timing.batch, timing.length) for timing in found.measurements[0].timings] == [(2, 3), (2, 7)]
    assert {event for _, event in diary(tmp_path)} == {"open", "close", "2x3", "2x7"}


def test_lengths_of_a_model_without_an_axis_of_tokens_are_left_out(tmp_path: Path, rows: Rows, events: list[Event]) -> None:
    found = measure(tmp_path, rows, busy(0), settings=replace(SHORT, batch_sizes=(2,), lengths=(7, 3)))
    assert [(timing.batch, timing.length) for timing in found.measurements[0].timings] == [(2, None)]
    assert any("no axis of tokens" in event.detail for event in events)


def test_a_slow_model_gets_the_fewest_sittings(tmp_path: Path, rows: Rows) -> None:
    settings = replace(SHORT, batch_sizes=(1,), seconds=0.001, trial_seconds=0.001)
    found = measure(tmp_path, rows, busy(5000), noted(tmp_path), settings=settings)
    assert [event for _, event in diary(tmp_path)].count("open") == FEWEST_SITTINGS
    assert found.ended


def test_a_first_impression_of_a_slow_model_takes_few_calls(tmp_path: Path, rows: Rows) -> None:
    def asked(settings: Benchmark, folder: str) -> tuple[int, Measured]:
        inside = tmp_path / folder
        inside.mkdir()
        found = measure(inside, rows, busy(22_000), noted(inside, 22_000), settings=settings)
        return [event for _, event in diary(inside)].count("1x4"), found

    settings = replace(SHORT, batch_sizes=(1,), seconds=0.001, trial_seconds=0.001)
    few, impression = asked(settings.provisional(), "impression")
    many, whole = asked(settings, "whole")
    assert few == IMPRESSION_SITTINGS * 4, "the first call, one to see how long they are, and one in each turn"
    assert many > 3 * few
    assert whole.health is not None
    assert whole.health.noise is not None
    assert impression.health is not None
    assert impression.health.noise is None
    first, second = (found.measurements[1].timings[0].ratio for found in (impression, whole))
    assert first is not None
    assert second is not None
    assert first.high / first.low > 1.1, "few sittings do not pretend to be exact"


def test_a_hopeless_candidate_is_not_asked_for_large_batches_where_calls_are_long(tmp_path: Path, rows: Rows) -> None:
    settings = replace(SHORT, batch_sizes=(8, 1), seconds=0.001, trial_seconds=0.001).provisional()

    def sizes(*microseconds: float) -> list[int]:
        found = measure(tmp_path, rows, *map(busy, microseconds), settings=settings)
        assert found.overall("fake1/none") is not None
        return sorted(timing.batch for timing in found.measurements[1].timings)

    assert sizes(1_000, 30_000) == [1]
    assert sizes(200, 1_200) == [1, 8], "short calls cost nothing"
    assert sizes(24_000, 1_000) == [1, 8], "it is faster"
    assert sizes(4_000, 30_000, 500) == [1, 8], "the other is not hopeless"


def test_memory_is_that_of_the_candidate_alone(tmp_path: Path, rows: Rows) -> None:
    settings = replace(SHORT, batch_sizes=(1,), memory=True)
    ballast = np.ones(400 << 17)  # this process's own memory must not count
    found = measure(tmp_path, rows, busy(0), busy(0, HeavyRuntime(held_mib=150)), settings=settings)
    light, heavy = (one.peak_rss_mib for one in found.measurements)
    assert light is not None
    assert heavy is not None
    assert light < 300 < ballast.nbytes / 2**20
    assert heavy - light == pytest.approx(150, abs=20)


@pytest.mark.parametrize(
    ("fault", "calls", "reason"),
    [
        (Fault.DIES, 0, "its process died: SIGKILL"),
        (Fault.DIES, 20, "its process died: SIGKILL"),
        (Fault.HANGS, 1, "it hung: no answer within 3 s"),
        (Fault.RAISES, 0, "it was made to fail"),
        (Fault.RAISES, 20, "it was made to fail"),
    ],
)
def test_a_candidate_that_fails_leaves_with_a_line_and_the_others_stay(
    tmp_path: Path, rows: Rows, fault: Fault, calls: int, reason: str
) -> None:
    settings = replace(SHORT, batch_sizes=(1,), seconds=0.05, trial_seconds=0.05, limit_seconds=3, memory=True)
    faulty = busy(100, FaultyRuntime(fault=fault, calls=calls))
    found = measure(tmp_path, rows, busy(100), faulty, busy(300), settings=settings)
    first, failed, other = found.measurements
    assert (first.left, failed.left) == ("", reason)
    assert failed.timings == ()
    assert (failed.load_ms is None) == (calls == 0)
    assert found.overall("fake1/none") is None
    assert first.timings
    assert other.timings[0].pace is Pace.SLOWER


@pytest.mark.parametrize(
    ("fault", "reason"), [(Fault.DIES, "its process died: SIGKILL"), (Fault.RAISES, "it was made to fail")]
)
def test_a_first_impression_of_one_that_fails_is_a_stage_error(tmp_path: Path, rows: Rows, fault: Fault, reason: str) -> None:
    with pytest.raises(StageError, match=f"^{reason}$"):
        measure(tmp_path, rows, busy(0), busy(0, FaultyRuntime(fault=fault)), settings=SHORT.provisional())


def test_without_the_baseline_there_is_no_benchmark(tmp_path: Path, rows: Rows) -> None:
    with pytest.raises(StageError, match="fake0/none cannot be measured: its process died: SIGKILL"):
        measure(tmp_path, rows, busy(0, FaultyRuntime(fault=Fault.DIES)), busy(0))


def test_what_is_far_behind_leaves_early_and_is_still_judged(tmp_path: Path, rows: Rows) -> None:
    found = measure(tmp_path, rows, busy(200), busy(300), busy(100), busy(205))
    slow, fast, near = found.measurements[1:]
    assert re.fullmatch(r"fake2/none is surely faster, after [34] sittings", slow.left)
    assert [timing.pace for timing in slow.timings] == [Pace.SLOWER, Pace.SLOWER]
    assert [timing.pace for timing in fast.timings] == [Pace.FASTER, Pace.FASTER]
    assert fast.left == ""
    assert slow.timings[0].blocks < fast.timings[0].blocks
    assert near.candidate == "fake3/none"


def test_health_and_what_the_cores_worked(tmp_path: Path, rows: Rows) -> None:
    found = measure(tmp_path, rows, busy(300), busy(600), settings=replace(SHORT, batch_sizes=(4,)))
    assert found.health is not None
    assert found.health.noise is not None
    assert found.health.noise.low <= 1.01
    assert found.health.noise.high >= 0.99
    assert 0 <= found.health.disturbed_share <= 1
    first, second = (one.processor_ms for one in found.measurements)
    assert first is not None
    assert second is not None
    assert second / first == pytest.approx(2, rel=0.3)
    assert first <= 0.3 / 4 * 1.5


def test_fewer_threads_than_cores_keep_to_as_many_cores(tmp_path: Path) -> None:
    usable = sorted(os.sched_getaffinity(0))
    every, one = (
        Contender(
            candidate=Candidate(runtime="fake", recipe="none", session=session),
            runtime=FakeRuntime(),
            artifact=Artifact(kind="onnx", path=tmp_path, digest="", size_bytes=0, inputs=(), outputs=()),
        )
        for session in ({}, {"threads": 1})
    )
    assert cores([one, one]) == {usable[-1]}
    assert cores([one, every]) == set(usable)


def test_the_session_says_the_threads() -> None:
    assert threads(Candidate(runtime="r", recipe="none", session={"threads": 3})) == 3
    assert threads(Candidate(runtime="r", recipe="none", session={"threads": 0})) == len(os.sched_getaffinity(0))


def test_a_measurement_is_remembered_for_this_machine(tmp_path: Path, rows: Rows) -> None:
    store = LocalStore(tmp_path)
    one = contender(tmp_path, 0, FakeRuntime(), FakeModel())
    arguments = ((one,), spec("processor", FakeProcessor()), rows, SHORT)
    first = benchmark(store, *arguments)
    assert benchmark.is_stored(store, *arguments)
    assert benchmark(store, *arguments) == first
    assert first.provenance is not None
    assert first.provenance.machine == first.machine.fingerprint
