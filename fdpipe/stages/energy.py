"""energy: what one row costs each candidate in joules, by the machine's counters or, labelled so, by an estimate.

An inference is one row's way through the model. Energy per inference is therefore energy per row: that of a call, shared by
its rows.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from fdpipe import workers
from fdpipe.artifacts import Basis, Figure, Measured, Rows, WorkerSpec
from fdpipe.energy import UNIT, Means, Meter, not_measured, spent
from fdpipe.errors import StageError
from fdpipe.interfaces import Accelerated, Processor
from fdpipe.plan import Benchmark
from fdpipe.race import batches
from fdpipe.race.lane import Lane, Lost
from fdpipe.race.runner import Surroundings
from fdpipe.race.sitting import Size
from fdpipe.stages.benchmark import Contender, cores
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

    Where a counter of what the candidate runs on can be read, it runs alone meanwhile, in a process of its own: all that this
    part of the machine used counts, its idle draw and whatever else ran included. Elsewhere it is an estimate from the
    processor time that the benchmark measured, or not measured, with the reason; nor is what dies, hangs or fails meanwhile.
    """
    bound: Processor = workers.build_spec(processor)
    (size,) = batches.written(folder, bound, rows.load().features, [max(settings.batch_sizes)], (), ())
    try:
        return _found(contenders, size, settings, measured, means)
    finally:
        size.batches.unlink()


def _found(
    contenders: Sequence[Contender], size: Size, settings: Benchmark, measured: Measured, means: Means
) -> dict[str, Figure]:
    surroundings = Surroundings.of_this_process(cores(contenders))
    found: dict[str, Figure] = {}
    for one in contenders:
        name, result = one.candidate.name, measured.of(one.candidate.name)
        meters = _meters(one, means)
        if result is None or result.left:
            why = f"it left the benchmark before its end: {result.left}" if result else "it was not in the benchmark"
            found[name] = not_measured(why)
        elif meters:
            lane = Lane(surroundings, settings.limit_seconds)
            try:
                found[name] = _counted(lane, one, size, meters, means, min(SECONDS, settings.seconds))
            except Lost as error:
                found[name] = not_measured(f"it was lost while it was measured: {error}")
            finally:
                lane.kill()
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


def _counted(lane: Lane, one: Contender, size: Size, meters: tuple[Meter, ...], means: Means, seconds: float) -> Figure:
    """Let it run alone between two readings."""
    lane.open(one.runtime, one.artifact, one.candidate.session, size.batches)
    lane.turn(size.batches, 0, 1, settling=False)  # which reads the batches
    try:
        started, before = time.perf_counter(), [meter.read() for meter in meters]
        rows = lane.work(size.batches, seconds) * size.batch
        seconds, after = time.perf_counter() - started, [meter.read() for meter in meters]
        joules = sum(spent(earlier, later) for earlier, later in zip(before, after, strict=True))
    except StageError as error:  # a counter's, which was read before and cannot be read now
        return not_measured(str(error))
    lane.end()
    covers = " and ".join(meter.covers for meter in meters)
    if joules <= 0:
        return not_measured(f"the counter of {covers} did not move in {seconds:.1f} s")
    alone = "" if any(meter is means.processor for meter in meters) else "; the processor beside it is not counted"
    method = f"counter of {covers}, idle draw included: {rows} rows in {seconds:.1f} s, in batches of {size.batch}{alone}"
    return Figure(value=joules / rows, unit=UNIT, basis=Basis.MEASURED, method=method)
