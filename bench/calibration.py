"""The memory of calibration, from 32 rows to 2,048: MiniLM, 128 tokens a row, each calibrator in a process of its own."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.common import PYTHON, Figure, figure

CALIBRATORS = {
    "minmax": "MinMax",
    "moving_average": "MovingAverage",
    "percentile": "Percentile",
    "entropy": "Entropy",
    "mse": "Mse",
}
PAGE = Path(__file__).parent.parent / "docs" / "calibration-measured.md"

FEW, USUAL, MANY = 32, 300, 2048

GROWTH = 20.0
"""Per cent, that the peak may grow by."""


def measure() -> list[Figure]:
    """Each calibrator in a process of its own, which says its peak, and how long the usual number of rows takes."""
    from bench.optimize.given import given
    from bench.optimize.models import tokens
    from bench.optimize.texts import CALIBRATION, EVALUATION, sentences

    model = given("minilm").baseline.artifact.path
    found: list[Figure] = []
    with tempfile.TemporaryDirectory() as scratch:
        rows = Path(scratch, "rows.npz")
        np.savez(rows, allow_pickle=False, **tokens(sentences((*CALIBRATION, *EVALUATION), MANY, seed=0)))
        for name in CALIBRATORS:
            few, usual, many = (_in_a_child(name, model, rows, count) for count in (FEW, USUAL, MANY))
            growth = 100 * (many["peak_mib"] / few["peak_mib"] - 1)
            found += [
                figure(f"{name}, {USUAL} rows", [usual["seconds"]]),
                figure(f"{name}, peak on {FEW} rows", [few["peak_mib"]], unit="MiB"),
                figure(f"{name}, peak on {MANY:,} rows", [many["peak_mib"]], unit="MiB"),
                figure(f"{name}, growth", [growth], unit="%", limit=GROWTH),
            ]
    return found


def _in_a_child(name: str, model: Path, rows: Path, count: int) -> dict[str, float]:
    words = [PYTHON, "-m", "bench.calibration", name, str(model), str(rows), str(count)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main(name: str, model: str, rows: str, count: str) -> None:
    """The child: calibrate on so many rows; print the seconds since it began, and the peak of this process's memory."""
    import importlib

    from fdpipe import graphs
    from fdpipe.arrays import take
    from fdpipe.processor.none import Plain
    from fdpipe.stages.calibrate import batches_of

    began = time.perf_counter()
    calibrator = getattr(importlib.import_module(f"fdpipe.calibrator.{name}"), CALIBRATORS[name])()
    inputs, _ = graphs.specs(Path(model))
    processor = Plain(inputs=inputs, names=tuple(spec.name for spec in inputs))
    with np.load(rows) as archive:
        features = take({spec.name: archive[spec.name] for spec in inputs}, slice(int(count)))
    calibrator.collect(Path(model), lambda: batches_of(processor, features, inputs))
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = int(status["VmHWM"].split()[0]) / 1024
    print(json.dumps({"seconds": time.perf_counter() - began, "peak_mib": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
