"""Sessions of ONNX Runtime: their settings, how they are opened and asked, and what they raise."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fdpipe import extras
from fdpipe.arrays import Batch, take
from fdpipe.errors import StageError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions

CPU = "CPUExecutionProvider"

LEVELS = {"disable": "ORT_DISABLE_ALL", "basic": "ORT_ENABLE_BASIC", "extended": "ORT_ENABLE_EXTENDED", "all": "ORT_ENABLE_ALL"}

LARGEST_BLOCK_BASE = 1024


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The session settings, each for the whole session.

    `threads` work within an operator (0: every core that this process may use), `inter_threads` between operators, which are
    run in parallel where there is more than one. `block_base` lets a thread take so many smaller pieces of an operator's
    work, one after the other, instead of one large one (0: one): even where some threads are held up.
    `spinning` lets idle threads burn their core while they wait for the next operator. It is off: in the benchmark, the
    spinning threads of one candidate would slow down the one measured next, and in the service they would take the cores
    from the web server and from the neighbours, so that what was measured would not be what is served.
    Threads are bound to no cores: two sessions, or two processes, would be bound to the same.

    `arena` keeps freed memory for the next call, and `memory_pattern` plans the tensors of a call into one piece of it, by the
    shapes of the first; without both, a call asks the system, which takes longer, and what it frees is free. `prepacking`
    keeps weights a second time in the order in which the processor reads them.

    `graph_level` is how far ONNX Runtime optimizes at loading: disable, basic, extended or all. `flush_denormals` takes
    numbers below 1e-38 for 0, which are slow on some processors. `gelu_approximation` computes GELU by way of a tangent.
    `unsigned_weights` multiplies 8 bits as unsigned ones only: slower, but sums do not saturate on an x86 processor without
    VNNI.
    """

    threads: int = 0
    inter_threads: int = 1
    block_base: int = 0
    spinning: bool = False
    arena: bool = True
    memory_pattern: bool = True
    prepacking: bool = True
    graph_level: str = "all"
    flush_denormals: bool = False
    gelu_approximation: bool = False
    unsigned_weights: bool = False

    def __post_init__(self) -> None:
        """Types and ranges."""
        for item in fields(self):
            if type(getattr(self, item.name)) is not type(item.default):
                raise ValueError(f"{item.name} must be of type {type(item.default).__name__}, not {getattr(self, item.name)!r}")
        if self.threads < 0 or self.inter_threads < 1:
            raise ValueError("threads must not be negative, and inter_threads at least 1")
        if not 0 <= self.block_base <= LARGEST_BLOCK_BASE:
            raise ValueError(f"block_base must be from 0 to {LARGEST_BLOCK_BASE}, not {self.block_base}")
        if self.graph_level not in LEVELS:
            raise ValueError(f"graph_level must be one of {', '.join(LEVELS)}, not {self.graph_level!r}")


NATIVE = "_sess"
"""Where ONNX Runtime's Python session has the one that does the work. Asking that one directly saves a quarter of the time of
a call of the smallest models, and no failure is answered by another provider and a line on the console."""


class OnnxEngine:
    """An open session; any number of threads may run it."""

    def __init__(self, session: "InferenceSession") -> None:
        self._session: InferenceSession | None = session
        self._native: Any = getattr(session, NATIVE, session)
        self._outputs = [value.name for value in session.get_outputs() if value.type.startswith("tensor(")]

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        """The tensors among the graph's outputs, by name; `StageError` for inputs that do not fit and a closed engine.

        No rows are asked as one row of nothing, whose answers are dropped: ONNX Runtime's Einsum divides by their number,
        which ends the process.
        """
        if batch and all(array.shape[:1] == (0,) for array in batch.values()):
            return take(self.run({name: _one_row(array) for name, array in batch.items()}), slice(0, 0))
        native = self._native
        if native is None:
            raise StageError("the model is closed")
        try:
            found = native.run(self._outputs, batch if type(batch) is dict else dict(batch), None)
        except failures() as error:
            raise StageError(f"onnxruntime cannot run the model: {line(error)}") from error
        return dict(zip(self._outputs, found, strict=True))

    def close(self) -> None:
        """Drop the session; a call under way ends first."""
        self._session = self._native = None


def _one_row(like: np.ndarray) -> np.ndarray:
    shape = (1, *like.shape[1:])
    return np.full(shape, "", object) if like.dtype.kind in "OU" else np.zeros(shape, like.dtype)


def usable_cores() -> int:
    """The cores that this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0))


def opened(path: Path, session: Mapping[str, Any], provider: str = CPU, extra: str = "") -> OnnxEngine:
    """A model of ONNX or of ONNX Runtime's own format, loaded with the `Settings` that the session holds; `StageError` for an
    unknown one or a model that cannot be loaded, `MissingExtra` where the provider's device is not there (ONNX Runtime would
    quietly use the processor)."""
    import onnxruntime

    options = options_of(settings_of(session))
    try:
        found = onnxruntime.InferenceSession(str(path), options, providers=[provider])
    except failures() as error:
        raise StageError(f"onnxruntime cannot open {path.name}: {line(error)}") from error
    if provider not in found.get_providers():
        raise extras.missing(provider, extra=extra, because="its device or its libraries cannot be used")
    return OnnxEngine(found)


def settings_of(session: Mapping[str, Any]) -> Settings:
    """What the session holds; `StageError` for what is no setting, or no value of one."""
    known = [item.name for item in fields(Settings)]
    if unknown := sorted(set(session) - set(known)):
        raise StageError(f"onnxruntime knows no session setting {unknown[0]!r}: it has {', '.join(known)}")
    try:
        return Settings(**session)
    except ValueError as error:
        raise StageError(f"onnxruntime's session settings: {error}") from error


def options_of(settings: Settings) -> "SessionOptions":
    """The same in ONNX Runtime's own form, silent."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = settings.threads or usable_cores()
    options.inter_op_num_threads = settings.inter_threads
    if settings.inter_threads > 1:
        options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    options.enable_cpu_mem_arena, options.enable_mem_pattern = settings.arena, settings.memory_pattern
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, LEVELS[settings.graph_level])
    for key, value in _entries(settings).items():
        options.add_session_config_entry(key, str(int(value)))
    return options


def _entries(settings: Settings) -> dict[str, int]:
    """What is set by name, in ONNX Runtime's own words."""
    return {
        "session.intra_op.allow_spinning": settings.spinning,
        "session.inter_op.allow_spinning": settings.spinning,
        "session.dynamic_block_base": settings.block_base,
        "session.disable_prepacking": not settings.prepacking,
        "session.set_denormal_as_zero": settings.flush_denormals,
        "optimization.enable_gelu_approximation": settings.gelu_approximation,
        "session.x64quantprecision": settings.unsigned_weights,
    }


def failures() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: its own errors have no common base, and its Python layer raises a few built-in ones."""
    from onnxruntime.capi import onnxruntime_pybind11_state as native

    own = [item for item in vars(native).values() if isinstance(item, type) and issubclass(item, Exception)]
    return (*own, ValueError, TypeError, RuntimeError)


def line(error: Exception) -> str:
    """What it said, as one line."""
    return " ".join(str(error).split())
