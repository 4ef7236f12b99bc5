"""A neighbour that takes the core in bursts, for ever: `python -m bench.gate.neighbour SEED`."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fdpipe import lifeline

BURST_S, PAUSE_S = 0.010, 0.020
"""On average, each drawn from an exponential distribution."""


@contextmanager
def neighbour(seed: int) -> Iterator[None]:
    """One on the cores of this process, which ends with it."""
    command = [sys.executable, "-P", str(lifeline.__file__), str(os.getpid()), __name__, str(seed)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))})
    try:
        yield
    finally:
        process.kill()
        process.wait()


def disturb(seed: int) -> None:
    """Work in bursts."""
    drawn = random.Random(seed)
    while True:
        ends = time.perf_counter() + drawn.expovariate(1 / BURST_S)
        while time.perf_counter() < ends:
            pass
        time.sleep(drawn.expovariate(1 / PAUSE_S))


if __name__ == "__main__":
    disturb(int(sys.argv[1]))
