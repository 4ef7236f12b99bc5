"""How much memory a candidate takes: `python -m fdpipe.stages.memory` loads one, runs it once and writes its peak in MiB.

What to run comes pickled from the parent process through stdin, as with multiprocessing.
"""

import pickle
import sys
from pathlib import Path


def main() -> None:
    """Load, run, tell."""
    runtime, artifact, session, batch = pickle.load(sys.stdin.buffer)
    engine = runtime.open(artifact, session)
    engine.run(batch)
    sys.stdout.write(str(peak_mib()))


def peak_mib() -> float:
    """This program's largest resident size. Not getrusage's, which a child process inherits from its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


if __name__ == "__main__":
    main()
