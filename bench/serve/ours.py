"""Our own service: a release made by the package stage, its sizes derived from timings of this core, served by BentoML."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.serve.in_process import SERVERS_CORE, called
from bench.serve.models import Subject
from fdpipe.artifacts import Measurement, Release, Timing
from fdpipe.bento import Bento, Launch, start
from fdpipe.sizing import Wishes
from fdpipe.store import LocalStore

HOST = "127.0.0.1"
BATCHES = (1, 4, 16, 64)
SECONDS = 0.5
"""Of calls, for each batch size."""

MAX_BODY_MIB = 16.0
"""An image in JSON has 1.5 MiB."""

TIMEOUT_S = 10.0
READY_S = 90.0


def packaged(subject: Subject, folder: Path, timeout_s: float = TIMEOUT_S) -> Release:
    """The release. Its machine has one core, as the service will."""
    pieces = subject.pieces(folder / "made")
    (measured,) = pieces.measured.measurements
    timings = tuple(_timing(pieces.baseline.artifact.path, batch) for batch in BATCHES)
    measurements = (Measurement(
        candidate=measured.candidate, timings=timings, load_ms=1.0, first_call_ms=1.0, peak_rss_mib=None, size_bytes=1
    ),)  # fmt: skip
    one_core = replace(pieces.measured, measurements=measurements, machine=replace(pieces.measured.machine, cores=1))
    order = replace(pieces.order, max_body_mib=MAX_BODY_MIB, sizes=Wishes(timeout_s=timeout_s))
    return replace(pieces, measured=one_core, order=order).packaged(LocalStore(folder / "store"))


def _timing(model: Path, batch: int) -> Timing:
    with on_the_servers_core():
        shot = called(model, SECONDS, batch)
    return Timing(
        batch=batch, calls=1, p50_ms=shot.p50_ms, p90_ms=shot.p99_ms, p99_ms=shot.p99_ms,
        rows_per_s=shot.requests_per_s * batch, ratio=None,
    )  # fmt: skip


@contextmanager
def served(subject: Subject, folder: Path, port: int, timeout_s: float = TIMEOUT_S) -> Iterator[Bento]:
    """The release behind `port` and the two after it, ready, on the servers' core."""
    release = packaged(subject, folder, timeout_s)
    launch = Launch(
        service=release.service, bento=release.path, host=HOST, port=port, home=folder, scratch=folder / "scratch",
        log=folder / "log",
    )  # fmt: skip
    with on_the_servers_core():
        bento = start(launch)
    try:
        bento.wait_ready(READY_S)
        yield bento
    finally:
        bento.stop(drain_s=2.0)


@contextmanager
def on_the_servers_core() -> Iterator[None]:
    """What this thread does and starts runs there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {SERVERS_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
