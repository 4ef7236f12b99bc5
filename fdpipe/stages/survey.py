"""survey: what a converted model consists of, for the search."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fdpipe import graphs
from fdpipe.artifacts import Artifact, Provenance
from fdpipe.store import stage


@dataclass(frozen=True, kw_only=True)
class Survey:
    """How many nodes of each operator it has; none where it is no ONNX."""

    operators: Mapping[str, int]
    provenance: Provenance | None = None


@stage()
def survey(folder: Path, model: Artifact) -> Survey:
    """Count its nodes."""
    return Survey(operators=dict(Counter(graphs.operators(model.path))) if graphs.is_onnx(model.path) else {})
