"""The board's engine: a compressed graph, run by ONNX's reference evaluator."""

import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fdpipe import extras
from fdpipe.arrays import Batch
from fdpipe.artifacts import Artifact
from fdpipe.content import tree_digest
from fdpipe.errors import StageError
from fdpipe.interfaces import Engine, Session

if TYPE_CHECKING:
    from onnx.reference import ReferenceEvaluator


@dataclass(frozen=True, kw_only=True)
class Board:
    """`level` is how hard the graph is compressed, from 0 to 9."""

    packages: ClassVar[tuple[str, ...]] = ("onnx",)
    kinds: ClassVar[tuple[str, ...]] = ("onnx",)
    makes: ClassVar[str] = "board"

    level: int = 9

    def __post_init__(self) -> None:
        """A level that there is."""
        if not 0 <= self.level <= 9:
            raise ValueError("level must be from 0 to 9")

    def check(self) -> None:
        """`MissingExtra` where onnx is not installed."""
        extras.require("onnx", extra="")

    def absent(self) -> str | None:
        """None: the board is this very machine. One that builds for a device elsewhere says here why it cannot be run."""
        return None

    def sessions(self) -> tuple[Session, ...]:
        """One: there is nothing to set."""
        return ({},)

    def ready(self, model: Artifact, folder: Path) -> Artifact:
        """The engine, alone in its folder."""
        import onnx

        path = folder / "engine" / "model.board"
        path.parent.mkdir(parents=True)
        path.write_bytes(zlib.compress(onnx.load(model.path).SerializeToString(), self.level))
        digest = tree_digest(path.parent)
        return replace(model, kind=self.makes, path=path, digest=digest, size_bytes=path.stat().st_size, provenance=None)

    def open(self, artifact: Artifact, session: Session) -> Engine:
        """Decompress and load it; `StageError` for what is no engine, and for settings that there are not."""
        import onnx
        from onnx.reference import ReferenceEvaluator

        if unknown := sorted(set(session) - {"threads"}):
            raise StageError(f"the board knows no session setting {unknown[0]!r}")
        if artifact.kind != self.makes:
            raise StageError(f"the board opens its own engines, not {artifact.kind}: {artifact.path.name}")
        try:
            graph = onnx.load_from_string(zlib.decompress(artifact.path.read_bytes()))
        except zlib.error as error:
            raise StageError(f"{artifact.path.name} is no engine of the board: {error}") from error
        return BoardEngine(ReferenceEvaluator(graph))


class BoardEngine:
    """An opened engine."""

    def __init__(self, evaluator: "ReferenceEvaluator") -> None:
        self._evaluator: ReferenceEvaluator | None = evaluator

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        """Outputs by name; `StageError` for inputs that do not fit and a closed engine."""
        evaluator = self._evaluator
        if evaluator is None:
            raise StageError("the model is closed")
        if set(batch) != set(evaluator.input_names):
            raise StageError(f"there must be {', '.join(evaluator.input_names)}, got {', '.join(batch) or 'nothing'}")
        try:
            return dict(zip(evaluator.output_names, evaluator.run(None, dict(batch)), strict=True))
        except (ValueError, TypeError, RuntimeError) as error:
            raise StageError(f"the board cannot run the model: {' '.join(str(error).split())}") from error

    def close(self) -> None:
        """Drop the graph."""
        self._evaluator = None
