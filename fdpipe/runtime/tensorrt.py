"""TensorRT: engines built on the GPU that runs them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from fdpipe import extras
from fdpipe.artifacts import Artifact
from fdpipe.errors import MissingExtra
from fdpipe.interfaces import Engine, Session
from fdpipe.runtime import _cuda, _tensorrt

LIBRARY = "tensorrt"


@dataclass(frozen=True, kw_only=True)
class TensorRt:
    """An axis that the graph leaves open is built for its least, usual and most size: `rows`, `axes` by their words, and
    `axis` for every other. More rows than that are asked in parts. What it computes in is said by the graph: recipes like
    `float16`, or quantized ones in Q/DQ form with signed, symmetric activations; only, products of float32 may be computed in
    `tf32`."""

    packages: ClassVar[tuple[str, ...]] = ("tensorrt",)
    kinds: ClassVar[tuple[str, ...]] = ("onnx",)
    makes: ClassVar[str] = LIBRARY
    device: ClassVar[str] = "gpu"
    extra: ClassVar[str] = "tensorrt"

    rows: tuple[int, int, int] = (1, 8, 64)
    axis: tuple[int, int, int] = (1, 128, 512)
    axes: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    tf32: bool = True
    build_seconds: float = 1800.0

    def __post_init__(self) -> None:
        """Spans that are some."""
        _tensorrt.checked(self.rows, self.axis, self.axes, self.build_seconds)

    def check(self) -> None:
        """`MissingExtra` where the library is not installed, or there is no GPU: it builds on nothing else."""
        extras.require(LIBRARY, extra=self.extra)
        if reason := _cuda.missing():
            raise MissingExtra(f"tensorrt builds engines on the GPU that runs them, and {reason}: target=rtx builds without")

    def absent(self) -> str | None:
        """None: what it builds, it runs."""
        return None

    def sessions(self) -> tuple[Session, ...]:
        """One: an engine has nothing to set."""
        return ({},)

    def ready(self, model: Artifact, folder: Path) -> Artifact:
        """The engine for this machine's GPU; `Incompatible` with the nodes that TensorRT has not."""
        spans = {**self.axes, "rows": self.rows, "": self.axis}
        return _tensorrt.build(LIBRARY, model, folder, spans, seconds=self.build_seconds, tf32=self.tf32)

    def open(self, artifact: Artifact, session: Session) -> Engine:
        """Load it onto the GPU; `MissingExtra` where there is none, `StageError` for an engine that it cannot read."""
        _tensorrt.refuse(LIBRARY, artifact, session)
        self.check()
        return _tensorrt.open_engine(LIBRARY, artifact, _cuda.Device())
