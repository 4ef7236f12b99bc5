"""Wall time and memory of the same jobs, by Olive, by the lean script, and by fdpipe, in turns."""

import os
import shutil
import statistics
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from bench.optimize.given import folder, given
from bench.optimize.peers import HERE, olive_python
from bench.optimize.processes import Cost, cost
from bench.optimize.remembered import remembered
from fdpipe.arrays import save_arrays, take

ROOT = HERE.parent.parent
JOBS: Mapping[str, Mapping[str, str]] = {
    "minilm": {
        "olive": "dynamic",
        "lean": "weights",
        "fdpipe": "nncf_weights",
        "fdpipe on ONNX": "transformer+int8_dynamic",
    },
    "resnet18": {"olive": "static", "lean": "int8", "fdpipe": "nncf_int8", "fdpipe on ONNX": "int8_static"},
}
"""What each is asked to do with the model: fuse it and quantize it without calibration, or quantize it with it."""
RUNS = 3
SAMPLES = 32
"""Calibration rows of the timed jobs."""


def inputs(name: str, rows: int) -> tuple[Path, Path]:
    """The baseline as one file, alone in its folder, and so many calibration rows."""
    place = folder() / "inputs" / name
    model, samples = place / "model" / "model.onnx", place / f"samples{rows}.npz"
    if not samples.exists():
        import onnx

        start = given(name)
        model.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(onnx.load(start.baseline.artifact.path), model)
        if start.data.calibration is None:
            raise LookupError(f"{name} has no calibration rows")
        features = start.data.calibration.load().features
        save_arrays(samples, take(features, slice(rows)))
    return model, samples


def command(who: str, job: str, name: str, place: Path, rows: int) -> list[str]:
    """The words of who does the job for this model, into the empty folder."""
    model, samples = inputs(name, rows)
    words = {
        "olive": [str(olive_python(folder() / "olive")), str(HERE / "olive_job.py")],
        "lean": [sys.executable, str(HERE / "lean.py")],
    }
    ours = [sys.executable, "-m", "bench.optimize.job"]
    return [*words.get(who, ours), job, str(model), str(samples), str(place)]


def run(who: str, job: str, name: str, place: Path, rows: int) -> Cost:
    """The job, from nothing."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    quiet = {"HF_HUB_OFFLINE": "1", "OLIVE_DISABLE_TELEMETRY": "1", "FDPIPE_HOME": str(place / "home")}
    inherited = {key: value for key, value in os.environ.items() if key not in ("TMPDIR", "OMP_NUM_THREADS")}
    return cost(command(who, job, name, place, rows), inherited | quiet, ROOT)


def costs(name: str) -> dict[str, list[dict[str, float]]]:
    """Each run of each, in turn and back again; one before them, which fills the file system's caches, does not count."""

    def work() -> dict[str, list[dict[str, float]]]:
        found: dict[str, list[dict[str, float]]] = {who: [] for who in JOBS[name]}
        for turn in range(-1, RUNS):
            order = list(found) if turn % 2 else list(found)[::-1]
            for who in order:
                spent = run(who, JOBS[name][who], name, folder() / "jobs" / name / who, SAMPLES)
                if turn >= 0:
                    found[who].append(asdict(spent))
        return found

    measured: dict[str, list[dict[str, float]]] = remembered(f"jobs-{name}", work)
    return measured


def middle(runs: list[dict[str, float]], what: str) -> float:
    """The median of the runs."""
    return statistics.median(one[what] for one in runs)


def made(who: str, job: str, name: str, rows: int) -> Path:
    """What Olive or the lean script makes of the model, for a race: made once."""
    place = folder() / "made" / name / f"{who}-{job}-{rows}"
    result = place / ("output/model.onnx" if who == "olive" else "model.xml")
    if not result.exists():
        run(who, job, name, place, rows)
    return result
