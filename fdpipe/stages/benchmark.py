"""benchmark: the speed of several candidates beside each other, call by call, on this machine.

Two things timed one after the other on a shared machine differ by what else ran meanwhile. So every candidate has a process
of its own, and all take turns in blocks: each once in a random order and once in that order reversed (ABBA), which cancels
drift. And two copies of one model differ too, by as much as a tenth, by where their memory came to lie. So all are opened
anew, in new processes, for each of several sittings. A sitting's ratio is the median over its blocks, the ratio is the median
over the sittings, and the interval a bootstrap of it, which thus covers what a restarted service would see.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fdpipe import progress, workers
from fdpipe.artifacts import Artifact, Candidate, Health, Measured, Rows, WorkerSpec
from fdpipe.interfaces import Engine, Processor, Runtime
from fdpipe.machine import describe_machine
from fdpipe.plan import Benchmark
from fdpipe.race import batches
from fdpipe.race.course import Course
from fdpipe.race.figures import disturbed_share, measurement, noise, why_no_noise
from fdpipe.race.sitting import Entrant
from fdpipe.store import stage


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A candidate with what it takes to run it, as its service would."""

    candidate: Candidate
    runtime: Runtime
    artifact: Artifact

    def open(self) -> Engine:
        """The engine, by the very call that the service uses."""
        return self.runtime.open(self.artifact, self.candidate.session)

    @property
    def entrant(self) -> Entrant:
        """What a process of its own is given, to do the same."""
        return Entrant(runtime=self.runtime, artifact=self.artifact, session=self.candidate.session)


@stage(machine_bound=True)
def benchmark(
    folder: Path, contenders: tuple[Contender, ...], processor: WorkerSpec, rows: Rows, settings: Benchmark
) -> Measured:
    """Every contender's speed; the first is the baseline.

    `settings.seconds` is shared by all contenders and spent once for each batch size and length, warm-up included; opening
    comes on top. Only `Engine.run` is timed, on batches prepared from evaluation rows. A contender whose process dies or hangs
    has no timings, and its measurement says why; `StageError` where it is the baseline, or a first impression.
    """
    bound: Processor = workers.build_spec(processor)
    axes = batches.sequences(contenders[0].artifact.inputs) if settings.lengths else []
    if settings.lengths and not axes:
        progress.note("benchmark.lengths is left out: the model has no axis of tokens")
    sizes = batches.written(folder, bound, rows.load().features, settings.batch_sizes, settings.lengths, axes)
    load_before = os.getloadavg()[0]
    course = Course([one.candidate.name for one in contenders], [one.entrant for one in contenders], sizes, settings)
    try:
        course.run(cores(contenders))
    finally:
        for size in sizes:
            size.batches.unlink()
    first = contenders[0].candidate
    return Measured(
        measurements=tuple(measurement(course, place, one.artifact.size_bytes) for place, one in enumerate(contenders)),
        baseline=first.name,
        threads=threads(first),
        machine=describe_machine(),
        health=Health(
            load_before=load_before,
            load_after=os.getloadavg()[0],
            disturbed_share=disturbed_share(course),
            noise=noise(course),
            noise_unknown=why_no_noise(course),
        ),
        ended=course.ended,
    )


def nothing_measured(baseline: Candidate) -> Measured:
    """What a benchmark says where nothing could be measured."""
    return Measured(measurements=(), baseline=baseline.name, threads=threads(baseline), machine=describe_machine())


def threads(candidate: Candidate) -> int:
    """The threads that its session asks for; without a word of it, every core that this process may use."""
    return int(candidate.session.get("threads", 0)) or len(os.sched_getaffinity(0))


def cores(contenders: Sequence[Contender]) -> frozenset[int]:
    """The cores that every candidate's process is kept to: as many as the one with the most threads has, the last ones."""
    usable = sorted(os.sched_getaffinity(0))
    return frozenset(usable[-max(threads(one.candidate) for one in contenders) :])
