"""Loads, given to a sender's process; what came of each."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import numpy as np

from fdpipe import lifeline
from fdpipe.artifacts import LoadResult
from fdpipe.errors import DeploymentError, StageError
from fdpipe.load.figures import figures
from fdpipe.load.modes import Closed, Load, Replay
from fdpipe.load.wire import Errand, Order, Request, Sent

WARM_UP_S = 0.2
WARM_UP_CONCURRENCY = 8
SPARE_S = 60.0
"""How much longer than its loads a sender may take before it is given up."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where to send: `host` is `http://…:port`. A request that takes longer than `timeout_s` has failed."""

    host: str
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        """A URL that aiohttp takes, without a path."""
        parts = urlsplit(self.host)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path:
            raise ValueError(f"host must be http://NAME:PORT, not {self.host!r}")
        if not 0 < self.timeout_s < float("inf"):
            raise ValueError(f"timeout_s must be above 0, not {self.timeout_s:g}")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One load and the requests that it sends, in an order drawn by the load's seed; a replay keeps theirs."""

    load: Load
    requests: Sequence[Request]


def send(address: Address, jobs: Sequence[Job], *, warm_up_s: float = WARM_UP_S) -> tuple[LoadResult, ...]:
    """What came of each job, one after the other, after a warm-up with the first job's requests that counts nowhere.

    `DeploymentError` where nobody answers at all in the warm-up, `StageError` where the sender itself fails.
    """
    first = jobs[0]
    connections = min(WARM_UP_CONCURRENCY, max(job.load.connections for job in jobs))
    warm_up = Job(load=Closed(concurrency=connections, seconds=warm_up_s), requests=first.requests)
    before = os.getloadavg()[0]
    told = _ask(Order(host=address.host, timeout_s=address.timeout_s, tasks=[_task(job) for job in (warm_up, *jobs)]))
    averages = (before, os.getloadavg()[0])
    warmed = figures(warm_up.load.text, told.tasks[0], averages)
    if not any(status.isdecimal() for status in warmed.statuses):
        raise DeploymentError(f"{address.host} does not answer: {', '.join(warmed.statuses)}; start the service")
    return tuple(figures(job.load.text, done, averages) for job, done in zip(jobs, told.tasks[1:], strict=True))


def _task(job: Job) -> Errand:
    load, count = job.load, len(job.requests)
    times = load.times
    order = np.arange(count) if isinstance(load, Replay) else np.random.default_rng(load.seed).permutation(count)
    return Errand(
        requests=list(job.requests),
        picks=order.tolist(),
        connections=load.connections,
        seconds=load.seconds if isinstance(load, Closed) else 0.0,
        times=None if times is None else times.tolist(),
    )


def _ask(order: Order) -> Sent:
    """A sender's process, started for this order, and what it told; it dies with this process."""
    planned = sum(task.times[-1] if task.times else task.seconds for task in order.tasks)
    limit = planned + len(order.tasks) * order.timeout_s + SPARE_S
    command = [sys.executable, "-P", str(Path(lifeline.__file__)), str(os.getpid()), "fdpipe.load.sender"]
    try:
        done = subprocess.run(command, input=msgspec.msgpack.encode(order), capture_output=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired as error:
        raise StageError(
            f"the sender did not end within {limit:.0f} s: ask for a lower rate, or quieten the machine"
        ) from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise StageError(f"the sender ended with {done.returncode}: {said[-1]}")
    return msgspec.msgpack.decode(done.stdout, type=Sent)
