"""OpenVINO on the processor: ONNX, and models of its own format."""

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.artifacts import Artifact
from fdpipe.errors import StageError
from fdpipe.interfaces import Engine, Session
from fdpipe.openvino import FAILURES, library, line

if TYPE_CHECKING:
    from openvino import CompiledModel, InferRequest

PRECISIONS = ("f32", "bf16")


@dataclass(frozen=True, kw_only=True)
class OpenVino:
    """No settings of its own; `Settings` are the session's."""

    packages: ClassVar[tuple[str, ...]] = ("openvino",)
    kinds: ClassVar[tuple[str, ...]] = ("onnx", "openvino")

    def check(self) -> None:
        """`MissingExtra` where OpenVINO is not installed."""
        library()

    def absent(self) -> str | None:
        """None: what it opens, it runs."""
        return None

    def sessions(self) -> tuple[Session, ...]:
        """One: the defaults of `Settings`."""
        return ({},)

    def ready(self, model: Artifact, folder: Path) -> Artifact:
        """The same artifact: both kinds are opened as they are."""
        return model

    def open(self, artifact: Artifact, session: Session) -> Engine:
        """Load and compile it with the `Settings` that the session holds; `StageError` for an unknown one, a model that
        cannot be loaded, and operators that OpenVINO has not, as trees and text."""
        settings = _settings(session)
        if artifact.kind not in self.kinds:
            raise StageError(f"openvino opens {' and '.join(self.kinds)}, not {artifact.kind}: {artifact.path.name}")
        try:
            compiled = library().Core().compile_model(str(artifact.path), "CPU", _properties(settings))
            return OpenVinoEngine(compiled, artifact)
        except FAILURES as error:
            raise StageError(f"openvino cannot open {artifact.path.name}: {line(error)}") from error


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The session settings. `threads` work within a call (0: every core that this process may use). `precision` is what
    floats are computed in, f32 or bf16; where the processor has no bf16, OpenVINO computes in f32 all the same.

    `pinning` binds threads to cores. It is off: two models in one process, or two processes, would be bound to the same.
    """

    threads: int = 0
    precision: str = "f32"
    pinning: bool = False

    def __post_init__(self) -> None:
        """Types and ranges."""
        for item in fields(self):
            if type(getattr(self, item.name)) is not type(item.default):
                raise ValueError(f"{item.name} must be of type {type(item.default).__name__}, not {getattr(self, item.name)!r}")
        if self.threads < 0:
            raise ValueError("threads must not be negative")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {self.precision!r}")


@dataclass(frozen=True)
class Port:
    """An input: its names, dtype, and axes, None for an open one."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]

    def fit(self, batch: Batch) -> np.ndarray:
        """The batch's array for it; `ValueError` for one that does not fit, which OpenVINO would cast or misread."""
        array = batch[self.name]
        if array.dtype != self.dtype:
            raise ValueError(f"{self.name} must be {self.dtype}, got {array.dtype}")
        pairs = zip(array.shape, self.shape, strict=False)
        if array.ndim != len(self.shape) or any(wanted is not None and size != wanted for size, wanted in pairs):
            raise ValueError(f"{self.name} has the shape {array.shape}, which is not that of the model")
        return np.ascontiguousarray(array)


class OpenVinoEngine:
    """A compiled model; any number of threads may run it, each call in a request of its own, of which idle ones are kept."""

    def __init__(self, compiled: "CompiledModel", artifact: Artifact) -> None:
        self._compiled: CompiledModel | None = compiled
        self._idle: list[InferRequest] = []
        self._lock = threading.Lock()
        self._inputs = [
            _port(port, name) for port, name in zip(compiled.inputs, _names(compiled.inputs, artifact.inputs), strict=True)
        ]
        self._outputs = _names(compiled.outputs, artifact.outputs)

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        """Outputs by name; `StageError` for inputs that do not fit and a closed engine."""
        request = self._take()
        try:
            if unlike := sorted(set(batch) ^ {port.name for port in self._inputs}):
                raise ValueError(
                    f"{unlike[0]!r} is missing or not known: there must be {', '.join(p.name for p in self._inputs)}"
                )
            tensors = {number: port.fit(batch) for number, port in enumerate(self._inputs)}
            found = request.infer(tensors, share_inputs=True)
            answers = {name: found[number] for number, name in enumerate(self._outputs)}
        except FAILURES as error:
            raise StageError(f"openvino cannot run the model: {line(error)}") from error
        with self._lock:
            if self._compiled is not None:
                self._idle.append(request)
        return answers

    def close(self) -> None:
        """Drop the model; a call under way ends first."""
        with self._lock:
            self._compiled = None
            self._idle.clear()

    def _take(self) -> "InferRequest":
        with self._lock:
            if self._compiled is None:
                raise StageError("the model is closed")
            return self._idle.pop() if self._idle else self._compiled.create_infer_request()


def _names(ports: Sequence[Any], specs: Sequence[Any]) -> list[str]:
    """What the artifact calls them: a tensor of OpenVINO's may have several names or none, and their order is kept."""
    known = [spec.name for spec in specs]
    return [next((name for name in known if name in port.names), known[number]) for number, port in enumerate(ports)]


def _port(port: Any, name: str) -> Port:  # noqa: ANN401 - openvino's type
    axes = tuple(None if size.is_dynamic else size.get_length() for size in port.partial_shape)
    return Port(name, np.dtype(port.element_type.to_dtype()), axes)


def _properties(settings: Settings) -> dict[str, Any]:
    """In OpenVINO's own words; it keeps no cache unless it is given a folder."""
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": settings.precision,
        "INFERENCE_NUM_THREADS": settings.threads or len(os.sched_getaffinity(0)),
        "ENABLE_CPU_PINNING": settings.pinning,
    }


def _settings(session: Mapping[str, Any]) -> Settings:
    known = [item.name for item in fields(Settings)]
    if unknown := sorted(set(session) - set(known)):
        raise StageError(f"openvino knows no session setting {unknown[0]!r}: it has {', '.join(known)}")
    try:
        return Settings(**session)
    except ValueError as error:
        raise StageError(f"openvino's session settings: {error}") from error
