"""OpenVINO on the processor: ONNX, and models of its own format."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.artifacts import Artifact, NodeTime
from fdpipe.errors import StageError
from fdpipe.interfaces import Engine, Session
from fdpipe.machine import describe_machine
from fdpipe.openvino import FAILURES, library, line
from fdpipe.runtime import _openvino_times
from fdpipe.runtime._openvino_models import Models, Shapes

if TYPE_CHECKING:
    from openvino import CompiledModel

PRECISIONS = ("f32", "bf16")
HINTS = ("latency", "throughput")

BF16 = ("avx512_bf16", "amx_bf16", "bf16")
"""The instruction sets that multiply bfloat16; without one, OpenVINO computes in float32 whatever it is told."""

NARROWED = ("int64", "uint64")
"""What OpenVINO computes in 32 bits on the processor, dropping the rest."""

SHAPES = 4
"""So many are worth their memory: a batch size or two, at the lengths that come most."""


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
        """The defaults of `Settings`; bfloat16 where the processor has it; models compiled for the shapes that come; and
        several calls at a time where there are several cores."""
        machine = describe_machine()
        half: tuple[Session, ...] = ({"precision": "bf16", "shapes": SHAPES}, {"precision": "bf16"})
        return (
            {},
            *(half if set(BF16) & set(machine.instruction_sets) else ()),
            {"shapes": SHAPES},
            *([{"hint": "throughput"}] if machine.cores > 1 else ()),
        )

    def ready(self, model: Artifact, folder: Path) -> Artifact:
        """The same artifact: both kinds are opened as they are."""
        return model

    def open(self, artifact: Artifact, session: Session) -> Engine:
        """Load and compile it with the `Settings` that the session holds; `StageError` for an unknown one, a model that
        cannot be loaded, and operators that OpenVINO has not, as trees and text."""
        settings = _settings(session)
        models = Models(lambda shapes: self._compiled(artifact, _properties(settings), shapes), settings.shapes)
        return OpenVinoEngine(models, artifact)

    def profile(self, artifact: Artifact, session: Session, batch: Batch) -> tuple[NodeTime, ...]:
        """Each node's time in a typical call, once OpenVINO has fused them; an operator is its kind and its kernel."""
        properties = _properties(_settings(session)) | {"PERF_COUNT": True}
        compiled = self._compiled(artifact, properties, None)
        try:
            ports = _ports(compiled, artifact)
            return _openvino_times.measured(compiled, _tensors(ports, batch))
        except FAILURES as error:
            raise StageError(f"openvino cannot measure the nodes of {artifact.path.name}: {line(error)}") from error

    def _compiled(self, artifact: Artifact, properties: Mapping[str, Any], shapes: Shapes | None) -> "CompiledModel":
        if artifact.kind not in self.kinds:
            raise StageError(f"openvino opens {' and '.join(self.kinds)}, not {artifact.kind}: {artifact.path.name}")
        try:
            core = library().Core()
            if shapes is None:
                return core.compile_model(str(artifact.path), "CPU", dict(properties))
            model = core.read_model(str(artifact.path))
            model.reshape(dict(enumerate(shapes)))
            return core.compile_model(model, "CPU", dict(properties))
        except FAILURES as error:
            raise StageError(f"openvino cannot open {artifact.path.name}: {line(error)}") from error


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The session settings. `threads` work within a call (0: every core that this process may use). `precision` is what
    floats are computed in, f32 or bf16; where the processor has no bf16, OpenVINO computes in f32 all the same.

    `shapes` is for how many shapes of inputs the model may be compiled once more, each when it has come a few times: with
    all sizes known, a call takes less time, and each takes the memory of a model. The first that come stay.
    `hint` is `latency`, where a call has all the threads, or `throughput`, where calls share them, each in a stream of its
    own; OpenVINO chooses how many, unless `streams` says it (0: it chooses). `flush_denormals` takes numbers below 1e-38
    for 0, which are slow on some processors.
    `pinning` binds threads to cores. It is off: two models in one process, or two processes, would be bound to the same.
    """

    threads: int = 0
    precision: str = "f32"
    shapes: int = 0
    hint: str = "latency"
    streams: int = 0
    flush_denormals: bool = False
    pinning: bool = False

    def __post_init__(self) -> None:
        """Types and ranges."""
        for item in fields(self):
            if type(getattr(self, item.name)) is not type(item.default):
                raise ValueError(f"{item.name} must be of type {type(item.default).__name__}, not {getattr(self, item.name)!r}")
        for name in ("threads", "shapes", "streams"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        for name, known in (("precision", PRECISIONS), ("hint", HINTS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")


@dataclass(frozen=True)
class Port:
    """An input: its name, dtype, how many axes it has, and the sizes of those that are fixed."""

    name: str
    dtype: np.dtype[Any]
    rank: int
    fixed: tuple[tuple[int, int], ...]

    def fit(self, batch: Batch) -> np.ndarray:
        """The batch's array for it; `ValueError` for one that does not fit, which OpenVINO would cast or misread."""
        array = batch[self.name]
        if array.dtype != self.dtype:
            raise ValueError(f"{self.name} must be {self.dtype}, got {array.dtype}")
        shape = array.shape
        if len(shape) != self.rank:
            raise ValueError(f"{self.name} has the shape {shape}, which is not that of the model: it has {self.rank} axes")
        for axis, size in self.fixed:
            if shape[axis] != size:
                raise ValueError(f"{self.name} has the shape {shape}, which is not that of the model: axis {axis} is {size}")
        if self.dtype.name in NARROWED and array.size and not -(2**31) <= array.min() <= array.max() < 2**31:
            raise ValueError(f"{self.name} has values beyond 32 bits, which OpenVINO would cut off")
        return array if array.flags.c_contiguous else np.ascontiguousarray(array)


class OpenVinoEngine:
    """A compiled model; any number of threads may run it, each call in a request of its own, of which idle ones are kept."""

    def __init__(self, models: Models, artifact: Artifact) -> None:
        self._models: Models | None = models
        self._ports = _ports(models.general.compiled, artifact)
        self._outputs = _names(models.general.compiled.outputs, artifact.outputs)

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        """Outputs by name; `StageError` for inputs that do not fit and a closed engine."""
        models = self._models
        if models is None:
            raise StageError("the model is closed")
        try:
            tensors = _tensors(self._ports, batch)
            model = models.for_shapes(tuple(array.shape for array in tensors)) if models.limit else models.general
            found = model.infer(dict(enumerate(tensors)))
        except FAILURES as error:
            raise StageError(f"openvino cannot run the model: {line(error)}") from error
        return {name: found[number] for number, name in enumerate(self._outputs)}

    def close(self) -> None:
        """Drop the model; a call under way ends first."""
        self._models = None


def _tensors(ports: Sequence[Port], batch: Batch) -> list[np.ndarray]:
    """In the ports' order."""
    if len(batch) != len(ports) or any(port.name not in batch for port in ports):
        names = [port.name for port in ports]
        unlike = sorted(set(batch) ^ set(names))
        raise ValueError(f"{unlike[0]!r} is missing or not known: there must be {', '.join(names)}")
    return [port.fit(batch) for port in ports]


def _ports(compiled: "CompiledModel", artifact: Artifact) -> list[Port]:
    names = _names(compiled.inputs, artifact.inputs)
    return [_port(port, name) for port, name in zip(compiled.inputs, names, strict=True)]


def _names(ports: Sequence[Any], specs: Sequence[Any]) -> list[str]:
    """What the artifact calls them: a tensor of OpenVINO's may have several names or none, and their order is kept."""
    known = [spec.name for spec in specs]
    return [next((name for name in known if name in port.names), known[number]) for number, port in enumerate(ports)]


def _port(port: Any, name: str) -> Port:  # noqa: ANN401 - openvino's type
    axes = list(enumerate(port.partial_shape))
    fixed = tuple((number, axis.get_length()) for number, axis in axes if axis.is_static)
    return Port(name, np.dtype(port.element_type.to_dtype()), len(axes), fixed)


def _properties(settings: Settings) -> dict[str, Any]:
    """In OpenVINO's own words; it keeps no cache unless it is given a folder."""
    streams = {"NUM_STREAMS": settings.streams} if settings.streams else {}
    return streams | {
        "PERFORMANCE_HINT": settings.hint.upper(),
        "CPU_DENORMALS_OPTIMIZATION": settings.flush_denormals,
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
