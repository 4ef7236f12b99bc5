"""Energy of a row: counted while a candidate runs alone, by what it runs on; elsewhere estimated, or not told."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import psutil
import pytest

from fdpipe.arrays import save_arrays
from fdpipe.artifacts import Artifact, Basis, Candidate, Figure, Measured, Measurement, Rows
from fdpipe.energy import Means
from fdpipe.interfaces import Session
from fdpipe.machine import describe_machine
from fdpipe.plan import Benchmark
from fdpipe.stages.benchmark import Contender
from fdpipe.stages.energy import energy
from fdpipe.store import LocalStore
from fdpipe.testing import (
    INPUTS,
    OUTPUTS,
    DiaryRuntime,
    FakeEngine,
    FakeModel,
    FakeProcessor,
    FakeRuntime,
    Fault,
    FaultyRuntime,
)
from fdpipe.testing.energy import FakeMeter, fake_means
from fdpipe.workers import spec

SHORT = Benchmark(batch_sizes=(1, 8), seconds=0.1, trial_seconds=0.1, warmup_calls=1, memory=False)


@dataclass(frozen=True, kw_only=True)
class OnGpu(FakeRuntime):
    """Says that it computes on the GPU."""

    device: ClassVar[str] = "gpu"


@dataclass(frozen=True, kw_only=True)
class Untouchable(FakeRuntime):
    """Must not be run."""

    def open(self, artifact: Artifact, session: Session) -> FakeEngine:
        """Never."""
        raise AssertionError("an estimate runs nothing")


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    features = {"x": np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)}
    digest = save_arrays(tmp_path / "rows.npz", features)
    return Rows(role="evaluation", path=tmp_path / "rows.npz", digest=digest, count=5, labelled=False)


def contender(folder: Path, runtime: FakeRuntime, microseconds: float = 100.0) -> Contender:
    path = folder / f"{microseconds}.json"
    FakeModel(microseconds=microseconds).save(path)
    artifact = Artifact(kind="onnx", path=path, digest=str(microseconds), size_bytes=1, inputs=INPUTS, outputs=OUTPUTS)
    return Contender(candidate=Candidate(runtime="fake", recipe=f"{microseconds:g}"), runtime=runtime, artifact=artifact)


def measured_of(*names: str, **changes: Any) -> Measured:  # noqa: ANN401 - any field of Measurement
    own: dict[str, Any] = {"timings": (), "load_ms": 1.0, "first_call_ms": 1.0, "peak_rss_mib": None, "size_bytes": 1} | changes
    every = tuple(Measurement(candidate=name, **own) for name in names)
    return Measured(measurements=every, baseline=names[0], threads=1, machine=describe_machine())


def ask(folder: Path, rows: Rows, one: Contender, means: Means, **changes: Any) -> Figure:  # noqa: ANN401 - of Measurement
    name = one.candidate.name
    return energy.work(folder, (one,), spec("processor", FakeProcessor()), rows, SHORT, measured_of(name, **changes), means)[
        name
    ]


def test_it_is_counted_while_the_candidate_runs(tmp_path: Path, rows: Rows) -> None:
    one = contender(tmp_path, FakeRuntime(), microseconds=2000)
    figure = ask(tmp_path, rows, one, fake_means(processor=FakeMeter(watts=10)))
    assert (figure.unit, figure.basis) == ("J", Basis.MEASURED)
    assert figure.value is not None
    assert figure.value >= 10 * 0.002 / 8, "10 W for at least 2 ms a call, shared by the 8 rows of the largest batch"
    assert "counter of the fake machine, idle draw included" in figure.method
    assert "in batches of 8" in figure.method


def test_it_is_opened_and_run_in_a_process_of_its_own_alone(tmp_path: Path, rows: Rows) -> None:
    one = contender(tmp_path, DiaryRuntime(diary=tmp_path / "diary"))
    assert ask(tmp_path, rows, one, fake_means(processor=FakeMeter())).basis is Basis.MEASURED
    lines = [line.split() for line in (tmp_path / "diary").read_text().splitlines()]
    assert {event for _, event in lines} == {"open", "8x4", "close"}
    (process,) = {int(process) for process, _ in lines}
    assert process != os.getpid()
    assert not psutil.pid_exists(process)
    assert list(tmp_path.glob("batches_*")) == []


@pytest.mark.parametrize(
    ("fault", "calls", "why"),
    [
        (Fault.DIES, 0, "its process died: SIGKILL"),
        (Fault.DIES, 3, "its process died: SIGKILL"),
        (Fault.RAISES, 3, "it was made to fail"),
        (Fault.HANGS, 3, "it hung: no answer within 1.1 s"),
    ],
)
def test_one_that_is_lost_is_not_measured_and_says_why(tmp_path: Path, rows: Rows, fault: Fault, calls: int, why: str) -> None:
    one, means = contender(tmp_path, FaultyRuntime(fault=fault, calls=calls)), fake_means(processor=FakeMeter())
    settings = replace(SHORT, limit_seconds=1)
    measured = measured_of(one.candidate.name)
    found = energy.work(tmp_path, (one,), spec("processor", FakeProcessor()), rows, settings, measured, means)
    figure = found[one.candidate.name]
    assert (figure.value, figure.basis) == (None, Basis.NOT_MEASURED)
    assert figure.method == f"it was lost while it was measured: {why}"


def test_of_what_runs_on_the_gpu_its_counter_counts(tmp_path: Path, rows: Rows) -> None:
    one = contender(tmp_path, OnGpu())
    alone = ask(tmp_path, rows, one, fake_means(gpu=FakeMeter(watts=300)))
    both = ask(tmp_path, rows, one, fake_means(gpu=FakeMeter(watts=300), processor=FakeMeter(watts=10)))
    assert alone.basis is both.basis is Basis.MEASURED
    assert alone.method.endswith("the processor beside it is not counted")
    assert "the fake machine and the fake machine" in both.method
    assert "not counted" not in both.method


def test_the_gpus_counter_says_nothing_of_the_processor_nor_the_other_way_round(tmp_path: Path, rows: Rows) -> None:
    on_processor = ask(tmp_path, rows, contender(tmp_path, Untouchable()), fake_means(gpu=FakeMeter()))
    on_gpu = ask(
        tmp_path, rows, contender(tmp_path, OnGpu()), fake_means(processor=FakeMeter(), tdp_watts=65), processor_ms=1.0
    )
    assert on_processor.basis is on_gpu.basis is Basis.NOT_MEASURED
    assert on_processor.method.startswith("the fake processor has no counter")
    assert on_gpu.method == "the fake GPU has no counter", "the design power of a processor is not the GPU's"


def test_without_a_counter_it_is_an_estimate_for_which_nothing_runs(tmp_path: Path, rows: Rows) -> None:
    figure = ask(tmp_path, rows, contender(tmp_path, Untouchable()), fake_means(tdp_watts=50, cores=2), processor_ms=4.0)
    assert figure.value == pytest.approx(0.004 * 25)
    assert figure.basis is Basis.ESTIMATED


def test_a_counter_that_stands_still_is_no_zero(tmp_path: Path, rows: Rows) -> None:
    figure = ask(tmp_path, rows, contender(tmp_path, FakeRuntime()), fake_means(processor=FakeMeter(watts=0)))
    assert (figure.value, figure.basis) == (None, Basis.NOT_MEASURED)
    assert "did not move" in figure.method


def test_who_left_the_benchmark_is_not_run_again(tmp_path: Path, rows: Rows) -> None:
    one, means = contender(tmp_path, Untouchable()), fake_means(processor=FakeMeter())
    figure = ask(tmp_path, rows, one, means, left="it takes 3 times as long as the baseline")
    assert figure.method == "it left the benchmark before its end: it takes 3 times as long as the baseline"
    nobody = energy.work(tmp_path, (one,), spec("processor", FakeProcessor()), rows, SHORT, measured_of("other"), means)
    assert nobody[one.candidate.name].method == "it was not in the benchmark"


def test_it_is_remembered_and_asked_anew_where_the_means_change(home: Path, rows: Rows) -> None:
    store, one = LocalStore(home / "store"), contender(home, FakeRuntime())
    asked = ((one,), spec("processor", FakeProcessor()), rows, SHORT, measured_of(one.candidate.name, processor_ms=1.0))
    first = energy(store, *asked, fake_means(tdp_watts=50))
    assert energy.is_stored(store, *asked, fake_means(tdp_watts=50))
    assert energy(store, *asked, fake_means(tdp_watts=50)) == first
    assert not energy.is_stored(store, *asked, fake_means(tdp_watts=60))
    assert not energy.is_stored(store, *asked, fake_means(processor=FakeMeter()))
