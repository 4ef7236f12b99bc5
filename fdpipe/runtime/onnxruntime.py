"""ONNX Runtime, on the processor or on a device that one of its execution providers drives."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fdpipe import extras
from fdpipe.arrays import Batch, take
from fdpipe.artifacts import Artifact
from fdpipe.errors import StageError
from fdpipe.interfaces import Engine, Session

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions

LEVELS = {"disable": "ORT_DISABLE_ALL", "basic": "ORT_ENABLE_BASIC", "extended": "ORT_ENABLE_EXTENDED", "all": "ORT_ENABLE_ALL"}


@dataclass(frozen=True, kw_only=True)
class OnnxRuntime:
    """`provider` is the execution provider; `extra` the extra of fdpipe that installs it, where the core does not."""

    packages: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnxruntime-gpu")
    kinds: ClassVar[tuple[str, ...]] = ("onnx",)

    provider: str = "CPUExecutionProvider"
    extra: str = ""

    def check(self) -> None:
        """`MissingExtra` where the installed ONNX Runtime has no such provider."""
        offered = extras.require("onnxruntime", extra=self.extra).get_available_providers()
        if self.provider not in offered:
            raise extras.missing(self.provider, extra=self.extra, because=f"the installed onnxruntime has {', '.join(offered)}")

    def absent(self) -> str | None:
        """None: what it opens, it runs."""
        return None

    def sessions(self) -> tuple[Session, ...]:
        """One: the defaults of `Settings`."""
        return ({},)

    def ready(self, model: Artifact, folder: Path) -> Artifact:
        """The same artifact: ONNX is opened as it is."""
        return model

    def open(self, artifact: Artifact, session: Session) -> Engine:
        """Load it with the `Settings` that the session holds; `StageError` for an unknown one or a model that cannot be
        loaded, `MissingExtra` where the provider's device is not there (ONNX Runtime would quietly use the processor)."""
        import onnxruntime

        if artifact.kind != "onnx":
            raise StageError(f"onnxruntime opens onnx, not {artifact.kind}: {artifact.path.name}")
        options = _options(_settings(session))
        try:
            opened = onnxruntime.InferenceSession(str(artifact.path), options, providers=[self.provider])
        except _failures() as error:
            raise StageError(f"onnxruntime cannot open {artifact.path.name}: {_line(error)}") from error
        if self.provider not in opened.get_providers():
            raise extras.missing(self.provider, extra=self.extra, because="its device or its libraries cannot be used")
        return OnnxEngine(opened)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The session settings. `threads` work within an operator (0: every core that this process may use), `inter_threads`
    between operators. `arena` keeps freed memory for the next call. `graph_level` is how far ONNX Runtime optimizes at
    loading: disable, basic, extended or all.

    `spinning` lets idle threads burn their core while they wait for the next operator. It is off: in the benchmark, the
    spinning threads of one candidate would slow down the one measured next, and in the service they would take the cores
    from the web server and from the neighbours, so that what was measured would not be what is served.
    """

    threads: int = 0
    inter_threads: int = 1
    spinning: bool = False
    arena: bool = True
    graph_level: str = "all"

    def __post_init__(self) -> None:
        """Types and ranges."""
        for item in fields(self):
            if type(getattr(self, item.name)) is not type(item.default):
                raise ValueError(f"{item.name} must be of type {type(item.default).__name__}, not {getattr(self, item.name)!r}")
        if self.threads < 0 or self.inter_threads < 1:
            raise ValueError("threads must not be negative, and inter_threads at least 1")
        if self.graph_level not in LEVELS:
            raise ValueError(f"graph_level must be one of {', '.join(LEVELS)}, not {self.graph_level!r}")


class OnnxEngine:
    """An open session; any number of threads may run it."""

    def __init__(self, session: "InferenceSession") -> None:
        self._session: InferenceSession | None = session
        self._outputs = [value.name for value in session.get_outputs() if value.type.startswith("tensor(")]

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        """The tensors among the graph's outputs, by name; `StageError` for inputs that do not fit and a closed engine.

        No rows are asked as one row of nothing, whose answers are dropped: ONNX Runtime's Einsum divides by their number,
        which ends the process.
        """
        if batch and all(array.shape[:1] == (0,) for array in batch.values()):
            return take(self.run({name: _one_row(array) for name, array in batch.items()}), slice(0, 0))
        session = self._session
        if session is None:
            raise StageError("the model is closed")
        try:
            return dict(zip(self._outputs, session.run(self._outputs, dict(batch)), strict=True))
        except _failures() as error:
            raise StageError(f"onnxruntime cannot run the model: {_line(error)}") from error

    def close(self) -> None:
        """Drop the session; a call under way ends first."""
        self._session = None


def _one_row(like: np.ndarray) -> np.ndarray:
    shape = (1, *like.shape[1:])
    return np.full(shape, "", object) if like.dtype.kind in "OU" else np.zeros(shape, like.dtype)


def usable_cores() -> int:
    """The cores that this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0))


def _settings(session: Mapping[str, Any]) -> Settings:
    known = [item.name for item in fields(Settings)]
    if unknown := sorted(set(session) - set(known)):
        raise StageError(f"onnxruntime knows no session setting {unknown[0]!r}: it has {', '.join(known)}")
    try:
        return Settings(**session)
    except ValueError as error:
        raise StageError(f"onnxruntime's session settings: {error}") from error


def _options(settings: Settings) -> "SessionOptions":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = settings.threads or usable_cores()
    options.inter_op_num_threads = settings.inter_threads
    if settings.inter_threads > 1:
        options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    options.enable_cpu_mem_arena = settings.arena
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, LEVELS[settings.graph_level])
    for pool in ("intra_op", "inter_op"):
        options.add_session_config_entry(f"session.{pool}.allow_spinning", str(int(settings.spinning)))
    return options


def _failures() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: its own errors have no common base, and its Python layer raises a few built-in ones."""
    from onnxruntime.capi import onnxruntime_pybind11_state as native

    own = [item for item in vars(native).values() if isinstance(item, type) and issubclass(item, Exception)]
    return (*own, ValueError, TypeError, RuntimeError)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
