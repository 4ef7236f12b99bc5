"""energy: what one inference of each candidate costs in joules, by the machine's counters or, labelled so, by an estimate."""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fdpipe import workers
from fdpipe.arrays import take
from fdpipe.artifacts import Basis, Figure, Measured, Rows, WorkerSpec
from fdpipe.energy import UNIT, Means, Meter, not_measured, spent
from fdpipe.interfaces import Accelerated, Processor
from fdpipe.plan import Benchmark
from fdpipe.stages.benchmark import Contender
from fdpipe.store import stage

SECONDS = 1.0
"""A candidate runs alone for so long, or a single call where that takes longer: a counter moves in steps of a millisecond
(RAPL) to a tenth of a second (NVML)."""


@stage(machine_bound=True)
def energy(
    folder: Path,
    contenders: tuple[Contender, ...],
    processor: WorkerSpec,
    rows: Rows,
    settings: Benchmark,
    measured: Measured,
    means: Means,
) -> Mapping[str, Figure]:
    """Joules of one row at the largest batch size, by candidate.

    Where a counter of what the candidate runs on can be read, it runs alone meanwhile: all that this part of the machine used
    counts, its idle draw and whatever else ran included. Elsewhere it is an estimate from the processor time that the benchmark
    measured, or not measured, with the reason.
    """
    size = max(settings.batch_sizes)
    bound: Processor = workers.build_spec(processor)
    batch = bound.prepare(take(rows.load().features, np.arange(size) % rows.count))
    found: dict[str, Figure] = {}
    for one in contenders:
        name, result = one.candidate.name, measured.of(one.candidate.name)
        meters = _meters(one, means)
        if result is None or result.left:
            why = f"it left the benchmark before its end: {result.left}" if result else "it was not in the benchmark"
            found[name] = not_measured(why)
        elif meters:
            found[name] = _counted(one, batch, size, meters, means, min(SECONDS, settings.seconds))
        elif _on_gpu(one):
            found[name] = not_measured(means.why_no_gpu)
        else:
            found[name] = means.estimated(result.processor_ms)
    return found


def _on_gpu(one: Contender) -> bool:
    return isinstance(one.runtime, Accelerated) and one.runtime.device == "gpu"


def _meters(one: Contender, means: Means) -> tuple[Meter, ...]:
    """Those of all that it runs on: of the GPU's, the processor's only beside it."""
    if _on_gpu(one):
        return tuple(meter for meter in (means.gpu, means.processor) if meter is not None) if means.gpu else ()
    return (means.processor,) if means.processor is not None else ()


def _counted(
    one: Contender,
    batch: Mapping[str, np.ndarray],
    size: int,
    meters: tuple[Meter, ...],
    means: Means,
    seconds: float,
) -> Figure:
    """Run it alone between two readings."""
    engine = one.open()
    try:
        engine.run(batch)
        calls, started = 0, time.perf_counter()
        before = [meter.read() for meter in meters]
        while calls == 0 or time.perf_counter() - started < seconds:
            engine.run(batch)
            calls += 1
        after = [meter.read() for meter in meters]
        seconds = time.perf_counter() - started
    finally:
        engine.close()
    joules = sum(spent(earlier, later) for earlier, later in zip(before, after, strict=True))
    covers = " and ".join(meter.covers for meter in meters)
    if joules <= 0:
        return not_measured(f"the counter of {covers} did not move in {seconds:.1f} s")
    alone = "" if any(meter is means.processor for meter in meters) else "; the processor beside it is not counted"
    method = f"counter of {covers}, idle draw included: {calls * size} rows in {seconds:.1f} s, in batches of {size}{alone}"
    return Figure(value=joules / (calls * size), unit=UNIT, basis=Basis.MEASURED, method=method)
