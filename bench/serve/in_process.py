"""The limit: ONNX Runtime called in a loop, in a process of its own; `python -m bench.serve.in_process MODEL SECONDS`."""

import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from bench.serve.load import Shot

SERVERS_CORE = 0


def shoot(model: Path, seconds: float) -> Shot:
    """Calls a second on the servers' core."""
    words = ["taskset", "-c", str(SERVERS_CORE), sys.executable, "-m", "bench.serve.in_process", str(model), str(seconds)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return Shot(**json.loads(done.stdout))


def called(model: Path, seconds: float, rows: int = 1) -> Shot:
    """The same in this process, with so many rows."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    asked = session.get_inputs()[0]
    batch = {asked.name: np.full((rows, *asked.shape[1:]), 0.5, np.float32)}
    session.run(None, batch)
    took = []
    spent = time.process_time()
    began = last = time.perf_counter()
    while last - began < seconds:
        session.run(None, batch)
        now = time.perf_counter()
        took.append(1000 * (now - last))
        last = now
    spent = time.process_time() - spent
    middle, high = np.quantile(took, (0.5, 0.99))
    return Shot(
        requests_per_s=len(took) / (last - began), p50_ms=float(middle), p99_ms=float(high), per_processor_s=len(took) / spent
    )  # fmt: skip


def answers(model: Path, row: np.ndarray) -> np.ndarray:
    """The probabilities, flat."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(["probabilities"], {session.get_inputs()[0].name: row})[0]
    return found.ravel()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(called(Path(sys.argv[1]), float(sys.argv[2])))))
