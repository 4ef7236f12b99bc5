"""The benchmark finds what is slower, by how much, and is fair to two of the same; no wall-clock limits are asserted."""

import gc
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from fdpipe.arrays import Batch, save_arrays
from fdpipe.artifacts import Artifact, Candidate, Measured, Rows
from fdpipe.errors import StageError
from fdpipe.interfaces import Session
from fdpipe.plan import Benchmark
from fdpipe.stages.benchmark import FEWEST_SITTINGS, IMPRESSION_SITTINGS, SITTINGS, Contender, benchmark, interval, threads
from fdpipe.store import LocalStore
from fdpipe.testing import INPUTS, OUTPUTS, FakeEngine, FakeModel, FakeProcessor, FakeRuntime, HeavyRuntime
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
    assert first.load_ms > 0
    assert first.first_call_ms >= 0.2
    for timing in first.timings:
        assert timing.calls >= 10
        assert 0.2 <= timing.p50_ms <= timing.p90_ms <= timing.p99_ms
        assert timing.rows_per_s <= timing.batch / 200e-6


def test_the_baseline_alone_has_figures_but_no_ratio(tmp_path: Path, rows: Rows) -> None:
    found = measure(tmp_path, rows, busy(0))
    assert [timing.ratio for timing in found.measurements[0].timings] == [None, None]


@dataclass(frozen=True, kw_only=True)
class Watched(FakeRuntime):
    """Keeps every engine that it opened and the rows of every call."""

    opened: tuple[list[FakeEngine], list[int]]

    def open(self, artifact: Artifact, session: Session) -> FakeEngine:
        engine = WatchedEngine(FakeModel.load(artifact.path), self.opened[1])
        self.opened[0].append(engine)
        return engine


class WatchedEngine(FakeEngine):
    def __init__(self, model: FakeModel, calls: list[int]) -> None:
        super().__init__(model)
        self.calls = calls

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        self.calls.append(len(batch["x"]))
        return super().run(batch)


def test_every_batch_is_full_and_every_engine_is_opened_anew_and_closed(tmp_path: Path, rows: Rows) -> None:
    engines: list[FakeEngine] = []
    calls: list[int] = []
    measure(tmp_path, rows, busy(0), busy(0, Watched(opened=(engines, calls))))
    assert FEWEST_SITTINGS <= len(engines) <= SITTINGS
    assert not any(engine.is_open for engine in engines)
    assert set(calls) == set(SHORT.batch_sizes)


def test_more_rows_than_there_are(tmp_path: Path, rows: Rows) -> None:
    calls: list[int] = []
    settings = replace(SHORT, batch_sizes=(50,))
    measure(tmp_path, rows, busy(0, Watched(opened=([], calls))), settings=settings)
    assert set(calls) == {50}


def test_a_slow_model_gets_the_fewest_sittings(tmp_path: Path, rows: Rows) -> None:
    engines: list[FakeEngine] = []
    settings = replace(SHORT, batch_sizes=(1,), seconds=0.001, trial_seconds=0.001)
    measure(tmp_path, rows, busy(5000), busy(0, Watched(opened=(engines, []))), settings=settings)
    assert len(engines) == FEWEST_SITTINGS


def test_a_first_impression_of_a_slow_model_takes_few_calls(tmp_path: Path, rows: Rows) -> None:
    def asked(settings: Benchmark, folder: str) -> tuple[int, Measured]:
        calls: list[int] = []
        (tmp_path / folder).mkdir()
        found = measure(tmp_path / folder, rows, busy(22_000), busy(22_000, Watched(opened=([], calls))), settings=settings)
        return len(calls), found

    settings = replace(SHORT, batch_sizes=(1,), seconds=0.001, trial_seconds=0.001)
    few, impression = asked(settings.provisional(), "impression")
    many, whole = asked(settings, "whole")
    assert few == IMPRESSION_SITTINGS * 4, "the first call, one to see how long they are, and one in each turn"
    assert many > 3 * few
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

    assert sizes(4_000, 24_000) == [1]
    assert sizes(200, 1_200) == [1, 8], "short calls cost nothing"
    assert sizes(24_000, 4_000) == [1, 8], "it is faster"
    assert sizes(4_000, 24_000, 4_000) == [1, 8], "the other is not hopeless"


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_collection_is_left_as_it_was(tmp_path: Path, rows: Rows, enabled: bool) -> None:
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        measure(tmp_path, rows, busy(0))
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_memory_is_that_of_the_candidate_alone(tmp_path: Path, rows: Rows) -> None:
    settings = replace(SHORT, batch_sizes=(1,), memory=True)
    ballast = np.ones(400 << 17)  # this process's own memory must not count
    found = measure(tmp_path, rows, busy(0), busy(0, HeavyRuntime(held_mib=150)), settings=settings)
    light, heavy = (one.peak_rss_mib for one in found.measurements)
    assert light is not None
    assert heavy is not None
    assert light < 300 < ballast.nbytes / 2**20
    assert heavy - light == pytest.approx(150, abs=20)


def test_a_candidate_that_dies_in_its_own_process_is_a_stage_error(tmp_path: Path, rows: Rows) -> None:
    broken = contender(tmp_path, 0, FakeRuntime(), FakeModel())
    broken.artifact.path.write_text("nonsense")
    with pytest.raises(StageError, match=r"fake0/none cannot be run in a process of its own: .*is no fake model"):
        benchmark.work(tmp_path, (broken,), spec("processor", FakeProcessor()), rows, replace(SHORT, memory=True))


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


class TestInterval:
    def test_holds_the_truth_as_often_as_it_says(self) -> None:
        random = np.random.default_rng(1)
        draws = [interval(random.normal(0.05, 0.02, SITTINGS), 0.9, seed) for seed in range(200)]
        hits = sum(found.low <= np.exp(0.05) <= found.high for found in draws)
        assert 0.8 < hits / 200 < 1

    def test_more_confidence_is_wider_and_a_seed_repeats(self) -> None:
        logs = np.random.default_rng(2).normal(0, 0.1, SITTINGS)
        wide, narrow = interval(logs, 0.99, 0), interval(logs, 0.5, 0)
        assert wide.low < narrow.low <= narrow.middle <= narrow.high < wide.high
        assert interval(logs, 0.99, 0) == wide

    def test_two_that_agree_are_not_exact(self) -> None:
        found = interval(np.zeros(2), 0.99, 0)
        assert found.low < 0.95 < 1.05 < found.high
        assert found.middle == 1

    def test_one_sitting_that_was_disturbed_does_not_move_the_middle(self) -> None:
        assert interval(np.array([0.0] * 11 + [1.0]), 0.99, 0).middle == 1
