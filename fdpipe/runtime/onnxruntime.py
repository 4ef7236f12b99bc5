"""ONNX Runtime, on the processor or on a device that one of its execution providers drives."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fdpipe import extras
from fdpipe.arrays import Batch
from fdpipe.artifacts import Artifact, NodeTime
from fdpipe.errors import StageError
from fdpipe.interfaces import Engine, Session
from fdpipe.runtime import _onnxruntime_times
from fdpipe.runtime._onnxruntime_sessions import CPU, failures, line, opened, options_of, settings_of, usable_cores


@dataclass(frozen=True, kw_only=True)
class OnnxRuntime:
    """`provider` is the execution provider; `extra` the extra of fdpipe that installs it, where the core does not."""

    packages: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnxruntime-gpu")
    kinds: ClassVar[tuple[str, ...]] = ("onnx",)
    indifferent: ClassVar[tuple[str, ...]] = ("arena", "memory_pattern", "spinning")

    provider: str = CPU
    extra: str = ""

    @property
    def device(self) -> str:
        """`gpu` where its provider computes on an NVIDIA GPU."""
        return "gpu" if self.provider.startswith(("CUDA", "Tensorrt", "NvTensorRT")) else ""

    def check(self) -> None:
        """`MissingExtra` where the installed ONNX Runtime has no such provider."""
        offered = extras.require("onnxruntime", extra=self.extra).get_available_providers()
        if self.provider not in offered:
            raise extras.missing(self.provider, extra=self.extra, because=f"the installed onnxruntime has {', '.join(offered)}")

    def absent(self) -> str | None:
        """None: what it opens, it runs."""
        return None

    def sessions(self) -> tuple[Session, ...]:
        """The defaults of `Settings`; on the processor also those with less optimization, with less memory, and, where there
        are several cores, with threads that spin, that share the work in smaller pieces, and with a single one."""
        if self.provider != CPU:
            return ({},)
        alone: tuple[Session, ...] = ({}, {"graph_level": "basic"}, {"arena": False})
        return alone if usable_cores() == 1 else (*alone, {"spinning": True}, {"block_base": 4}, {"threads": 1})

    def ready(self, model: Artifact, folder: Path) -> Artifact:
        """The same artifact: ONNX is opened as it is."""
        return model

    def open(self, artifact: Artifact, session: Session) -> Engine:
        """Load it with the `Settings` that the session holds; `StageError` for an unknown one or a model that cannot be
        loaded, `MissingExtra` where the provider's device is not there (ONNX Runtime would quietly use the processor)."""
        if artifact.kind != "onnx":
            raise StageError(f"onnxruntime opens onnx, not {artifact.kind}: {artifact.path.name}")
        return opened(artifact.path, session, self.provider, self.extra)

    def profile(self, artifact: Artifact, session: Session, batch: Batch) -> tuple[NodeTime, ...]:
        """Each node's time in a typical call, in the order in which they run, once ONNX Runtime has optimized the model."""
        settings = settings_of(session)
        try:
            return _onnxruntime_times.measured(artifact.path, lambda: options_of(settings), self.provider, batch)
        except failures() as error:
            raise StageError(f"onnxruntime cannot measure the nodes of {artifact.path.name}: {line(error)}") from error
