"""Who is still in a course, and that nothing is decided early without the baseline's twin."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fdpipe.artifacts import Artifact
from fdpipe.interfaces import Session
from fdpipe.plan import Benchmark
from fdpipe.race.course import TWIN_CHANCES, Course
from fdpipe.race.figures import noise, why_no_noise
from fdpipe.race.intervals import FEWEST_SITTINGS
from fdpipe.race.runner import write_batches
from fdpipe.race.sitting import Entrant, Size
from fdpipe.testing import INPUTS, OUTPUTS, FakeEngine, FakeModel, FakeRuntime

SETTINGS = Benchmark(batch_sizes=(1,), seconds=0.4, trial_seconds=0.1, warmup_calls=2, memory=False)
EVERY = frozenset(os.sched_getaffinity(0))


@dataclass(frozen=True, kw_only=True)
class Frail(FakeRuntime):
    """Dies at its first openings, of which a file keeps count."""

    openings: Path
    deaths: int

    def open(self, artifact: Artifact, session: Session) -> FakeEngine:
        """The fake model, in the end."""
        with self.openings.open("a") as file:
            file.write("x")
        if len(self.openings.read_text()) <= self.deaths:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().open(artifact, session)


def entrant(folder: Path, microseconds: float, runtime: FakeRuntime | None = None) -> Entrant:
    path = folder / f"{microseconds:g}.json"
    FakeModel(microseconds=microseconds).save(path)
    artifact = Artifact(kind="onnx", path=path, digest=path.name, size_bytes=1, inputs=INPUTS, outputs=OUTPUTS)
    return Entrant(runtime=runtime or FakeRuntime(), artifact=artifact, session={})


def run(folder: Path, deaths: int) -> Course:
    """The baseline, what takes three times as long, and a twin that dies so often."""
    write_batches(folder / "batches", [{"x": np.zeros((1, 4), np.float32)}])
    sizes = [Size(batch=1, length=None, batches=folder / "batches")]
    course = Course(["first", "slow"], [entrant(folder, 100), entrant(folder, 300)], sizes, SETTINGS)
    course.entrants[course.twin] = entrant(folder, 100, Frail(openings=folder / "openings", deaths=deaths))
    course.run(EVERY)
    return course


def test_a_twin_that_was_lost_is_opened_anew(tmp_path: Path) -> None:
    course = run(tmp_path, deaths=1)
    assert course.without_twin == ["its process died: SIGKILL"]
    assert len(course.witnessed) == len(course.sittings) - 1
    known = len(course.witnessed) >= FEWEST_SITTINGS
    assert (noise(course) is not None) == known
    assert (why_no_noise(course) == "") == known
    assert not course.ended.startswith("every ratio is decided") or known


def test_without_a_twin_nothing_is_decided_early_and_the_noise_is_unknown(tmp_path: Path) -> None:
    course = run(tmp_path, deaths=1000)
    assert course.left == {}, "though it is surely three times as slow"
    assert course.ended.startswith("the budget of 0.4 s is spent")
    assert course.ratio(1, 0).low > 2
    assert (tmp_path / "openings").read_text() == "x" * TWIN_CHANCES
    assert noise(course) is None
    assert why_no_noise(course) == (
        f"the baseline's second process was lost in {TWIN_CHANCES} of {len(course.sittings)} sittings: "
        "its process died: SIGKILL"
    )


def test_with_its_twin_it_leaves(tmp_path: Path) -> None:
    course = run(tmp_path, deaths=0)
    assert course.left[1].startswith("first is surely faster, after ")
    assert noise(course) is not None
    assert why_no_noise(course) == ""
