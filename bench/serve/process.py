"""A server under measurement: a process on the servers' core that dies with this one."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from fdpipe import lifeline

START_S = 90.0
CORE = 0
QUIET = {"BENTOML_DO_NOT_TRACK": "true", "DO_NOT_TRACK": "1", "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}


@contextmanager
def running(
    python: Path, module: Sequence[str], folder: Path, environment: Mapping[str, str], ready: Callable[[], bool]
) -> Iterator["subprocess.Popen[bytes]"]:
    """`python -m MODULE ARGUMENT…` in `folder`, from when it is ready on; `RuntimeError` with its last words."""
    log = folder / "log"
    words = ["taskset", "-c", str(CORE), str(python), "-P", lifeline.__file__, str(os.getpid()), *module]
    with log.open("wb") as out:
        process = subprocess.Popen(
            words, cwd=folder, env=os.environ | QUIET | dict(environment), stdout=out, stderr=out, start_new_session=True
        )
    try:
        until = time.monotonic() + START_S
        while not ready():
            if process.poll() is not None or time.monotonic() > until:
                said = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
                raise RuntimeError(f"{module[0]} did not start: {said[-1][:200]}")
            time.sleep(0.2)
        yield process
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """It and all that it started, whatever sessions these opened."""
    family = [psutil.Process(process.pid), *children(process.pid)] if process.poll() is None else []
    for one in family:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()
    psutil.wait_procs(family, timeout=5)


def processor_s(pid: int) -> float:
    """What the process and all that it started have used of the processor so far."""
    spent = (one.cpu_times() for one in (psutil.Process(pid), *children(pid)))
    return sum(one.user + one.system for one in spent)


def children(pid: int) -> list[psutil.Process]:
    """Of the process, and theirs."""
    return psutil.Process(pid).children(recursive=True)
