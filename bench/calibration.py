"""The memory of calibration, from 32 rows to 2,048: MiniLM, 128 tokens a row, each calibrator in a process of its own."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from bench.common import PYTHON, Figure, figure
from fdpipe.arrays import take

CALIBRATORS = {
    "minmax": "MinMax",
    "moving_average": "MovingAverage",
    "percentile": "Percentile",
    "entropy": "Entropy",
    "mse": "Mse",
}
PAGE = Path(__file__).parent.parent / "docs" / "calibration-measured.md"

FEW, MANY = 32, 2048

GROWTH = 20.0
"""Per cent, that the peak may grow by."""
WORDS = {"rss": "peak RSS", "own": "peak without mapped files"}
INTERVAL_S = 0.05


def measure() -> list[Figure]:
    """Each calibrator in a process of its own, which says its peak: on so many rows as there are in a file."""
    from bench.optimize.given import given
    from bench.optimize.models import tokens
    from bench.optimize.texts import CALIBRATION, EVALUATION, sentences

    model = given("minilm").baseline.artifact.path
    features = tokens(sentences((*CALIBRATION, *EVALUATION), MANY, seed=0))
    found: list[Figure] = []
    with tempfile.TemporaryDirectory() as scratch:
        files = {count: Path(scratch, f"{count}.npz") for count in (FEW, MANY)}
        for count, path in files.items():
            np.savez(path, allow_pickle=False, **take(features, slice(count)))
        for name in CALIBRATORS:
            few, many = (_in_a_child(name, model, path) for path in files.values())
            for what, limit in (("rss", GROWTH), ("own", None)):
                words = WORDS[what]
                found += [
                    figure(f"{name}, {words} on {FEW} rows", [few[what]], unit="MiB"),
                    figure(f"{name}, {words} on {MANY:,} rows", [many[what]], unit="MiB"),
                    figure(f"{name}, growth of the {words}", [100 * (many[what] / few[what] - 1)], unit="%", limit=limit),
                ]
    return found


def _in_a_child(name: str, model: Path, rows: Path) -> dict[str, float]:
    words = [PYTHON, "-m", "bench.calibration", name, str(model), str(rows)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


class Peak(threading.Thread):
    """The most that this process holds of its own, in MiB: without the pages of files that it maps, which are the kernel's to
    take back. Of these the kernel keeps no peak."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.mib = 0.0

    def run(self) -> None:
        """As long as the process lives."""
        while True:
            self.mib = max(self.mib, _mib("RssAnon"))
            time.sleep(INTERVAL_S)


def _mib(name: str) -> float:
    """A figure of this process."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[name].split()[0]) / 1024


def main(name: str, model: str, rows: str) -> None:
    """The child: calibrate on the rows; print the peak of this process's memory, and of that which is its own, in MiB."""
    import importlib

    from fdpipe import graphs
    from fdpipe.processor.none import Plain
    from fdpipe.stages.calibrate import batches_of

    peak = Peak()
    peak.start()
    calibrator = getattr(importlib.import_module(f"fdpipe.calibrator.{name}"), CALIBRATORS[name])()
    inputs, _ = graphs.specs(Path(model))
    processor = Plain(inputs=inputs, names=tuple(spec.name for spec in inputs))
    with np.load(rows) as archive:
        features = {spec.name: archive[spec.name] for spec in inputs}
    calibrator.collect(Path(model), lambda: batches_of(processor, features, inputs))
    print(json.dumps({"rss": _mib("VmHWM"), "own": peak.mib}))


if __name__ == "__main__":
    main(*sys.argv[1:])
