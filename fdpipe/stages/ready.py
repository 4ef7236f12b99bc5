"""ready: the optimized model in the form that its runtime opens."""

from pathlib import Path

from fdpipe.artifacts import Artifact
from fdpipe.interfaces import Runtime
from fdpipe.store import stage


@stage(machine_bound=True)
def ready(folder: Path, runtime: Runtime, model: Artifact) -> Artifact:
    """An engine, or the same artifact where the runtime opens ONNX as it is."""
    return runtime.ready(model, folder)
