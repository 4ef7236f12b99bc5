"""Everything that is compared in speed, in one interleaved run on one core: medians with intervals."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fdpipe import workers
from fdpipe.arrays import Batch, in_batches
from fdpipe.artifacts import Artifact, Candidate, Interval, Measured
from fdpipe.content import tree_digest
from fdpipe.interfaces import Metric, Processor, Runtime
from fdpipe.plan import Benchmark
from fdpipe.stages.benchmark import Contender, benchmark
from fdpipe.trials import Given

PEER = "peer"
SETTINGS = Benchmark(batch_sizes=(1,), seconds=90.0, threads=1, memory=False, precision=0.01)
"""Until every interval is 1 % from end to end, since what is said to be within 3 % must be known better than that; at most so
long, on a machine that others use."""


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Times faster than the first of the race."""

    low: float
    middle: float
    high: float


def beside(one: Ratio, other: Ratio) -> Ratio:
    """How many times as fast the one is as the other, each end taken on its own: rather too wide than too narrow."""
    return Ratio(low=one.low / other.high, middle=one.middle / other.middle, high=one.high / other.low)


@contextmanager
def on_one_core() -> Iterator[None]:
    """This process, and what it starts, on the last of its cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def peer(what: str, path: Path, kind: str, runtime: Runtime, start: Given) -> Contender:
    """A file of somebody else's, with the inputs and outputs of the converted model."""
    like = start.baseline.artifact
    artifact = Artifact(
        kind=kind, path=path, digest=tree_digest(path.parent), size_bytes=path.stat().st_size, inputs=like.inputs,
        outputs=like.outputs,
    )  # fmt: skip
    return Contender(candidate=Candidate(runtime=PEER, recipe=what, session={"threads": 1}), runtime=runtime, artifact=artifact)


def raced(contenders: Sequence[Contender], start: Given, sizes: Sequence[int] = (1,)) -> Measured:
    """All of them, the first as the baseline of the ratios; not remembered."""
    different = {one.candidate.name: one for one in contenders}
    settings = replace(SETTINGS, batch_sizes=tuple(sizes))
    with tempfile.TemporaryDirectory() as scratch:
        return benchmark.work(
            Path(scratch), tuple(different.values()), start.baseline.processor, start.data.evaluation, settings
        )


def times_faster(measured: Measured, contender: Contender, size: int = 1) -> Ratio:
    """Than the race's first, at a batch size."""
    name = contender.candidate.name
    if name == measured.baseline:
        return Ratio(low=1.0, middle=1.0, high=1.0)
    found = measured.of(name)
    ratio: Interval | None = next((one.ratio for one in found.timings if one.batch == size), None) if found else None
    if ratio is None:
        raise LookupError(f"{name} was not measured at batch {size}")
    return Ratio(low=1 / ratio.high, middle=1 / ratio.middle, high=1 / ratio.low)


def quality(contender: Contender, start: Given, metric: Metric) -> float:
    """Of a peer's answers on the evaluation rows, by the subject's metric."""
    bound: Processor = workers.build_spec(start.baseline.processor)
    examples = start.data.evaluation.load()
    with closing(contender.open()) as engine:
        answers = in_batches(examples.features, 8, lambda rows: copied(bound.finish(engine.run(bound.prepare(rows)))))
    labels = examples.labels if metric.needs_labels else next(iter(start.baseline.reference.load().values()))
    if labels is None:
        raise LookupError("there is nothing to judge by")
    return metric.score(answers, labels)


def copied(answers: Batch) -> Mapping[str, np.ndarray]:
    """OpenVINO's are views of what the next call overwrites."""
    return {name: np.array(array) for name, array in answers.items()}
