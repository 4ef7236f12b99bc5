"""TensorRT for RTX: engines built ahead of time, without a GPU, for named compute capabilities; run where there is one."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from fdpipe import extras
from fdpipe.artifacts import Artifact
from fdpipe.errors import StageError
from fdpipe.interfaces import Engine, Session
from fdpipe.runtime import _cuda, _tensorrt

LIBRARY = "tensorrt_rtx"


@dataclass(frozen=True, kw_only=True)
class TensorRtRtx:
    """`compute_capabilities` are the GPUs to build for (SM75, SM80, SM86, SM89, SM120, SM121; those of data centres, SM90 and
    SM100, are TensorRT's).

    An axis that the graph leaves open is built for its least, usual and most size: `rows`, `axes` by their words, and `axis`
    for every other. More rows than that are asked in parts. What it computes in is said by the graph: recipes like `float16`,
    or quantized ones in Q/DQ form; only, products of float32 may be computed in `tf32`.
    """

    packages: ClassVar[tuple[str, ...]] = ("tensorrt-rtx",)
    kinds: ClassVar[tuple[str, ...]] = ("onnx",)
    makes: ClassVar[str] = LIBRARY
    device: ClassVar[str] = "gpu"
    extra: ClassVar[str] = "rtx"

    compute_capabilities: tuple[str, ...] = ("SM80", "SM86", "SM89", "SM120")
    rows: tuple[int, int, int] = (1, 8, 64)
    axis: tuple[int, int, int] = (1, 128, 512)
    axes: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    tf32: bool = True
    build_seconds: float = 600.0

    def __post_init__(self) -> None:
        """At least one GPU, and spans that are some."""
        if not self.compute_capabilities or not all(name.startswith("SM") for name in self.compute_capabilities):
            raise ValueError("compute_capabilities must name at least one, as SM86")
        _tensorrt.checked(self.rows, self.axis, self.axes, self.build_seconds)

    def check(self) -> None:
        """`MissingExtra` where the library is not installed; building needs no GPU."""
        extras.require(LIBRARY, extra=self.extra)

    def absent(self) -> str | None:
        """Why an engine cannot be run here: there is no GPU, or one for which none is built."""
        if reason := _cuda.missing():
            return reason
        with closing(_cuda.Device()) as device:
            found = device.capability
        wanted = ", ".join(self.compute_capabilities)
        return None if found in self.compute_capabilities else f"this GPU is {found}, and the engines are built for {wanted}"

    def sessions(self) -> tuple[Session, ...]:
        """One: an engine has nothing to set."""
        return ({},)

    def ready(self, model: Artifact, folder: Path) -> Artifact:
        """The engine; `Incompatible` with the nodes that TensorRT has not."""
        spans = {**self.axes, "rows": self.rows, "": self.axis}
        return _tensorrt.build(
            LIBRARY, model, folder, spans, seconds=self.build_seconds, tf32=self.tf32, capabilities=self.compute_capabilities
        )

    def open(self, artifact: Artifact, session: Session) -> Engine:
        """Load it onto the GPU; `StageError` where there is none, or another than it was built for."""
        _tensorrt.refuse(LIBRARY, artifact, session)
        if reason := self.absent():
            raise StageError(f"{artifact.path.name} cannot be run here: {reason}")
        self.check()
        return _tensorrt.open_engine(LIBRARY, artifact, _cuda.Device())
