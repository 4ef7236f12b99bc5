"""diagnose: where the time of a quantized model goes that is not faster."""

from pathlib import Path

from fdpipe.artifacts import Artifact, Diagnosis, Rows, WorkerSpec
from fdpipe.interfaces import Profiler, Session
from fdpipe.store import stage


@stage(machine_bound=True)
def diagnose(
    folder: Path,
    runtime: Profiler,
    session: Session,
    artifact: Artifact,
    processor: WorkerSpec,
    rows: Rows,
    batch_sizes: tuple[int, ...],
) -> Diagnosis:
    """What its nodes take, and what that means."""
    return Diagnosis(reasons=())
