"""What TensorRT and TensorRT for RTX share, whose interfaces are the same: engines built from ONNX, and run."""

import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np

from fdpipe import lifeline
from fdpipe.arrays import Batch, in_batches, rows_in, take
from fdpipe.artifacts import Artifact
from fdpipe.content import tree_digest
from fdpipe.errors import Incompatible, StageError
from fdpipe.interfaces import Session
from fdpipe.runtime import _engine_builder
from fdpipe.runtime._engine_builder import Built, Job, Span

ENGINE, ABOUT = "model.engine", "engine.json"


@dataclass(frozen=True, kw_only=True)
class About:
    """What stands beside an engine, in `engine.json`: what built it, for which GPUs, and the least, usual and most shape of
    each input."""

    library: str
    version: str
    capabilities: tuple[str, ...]
    shapes: Mapping[str, tuple[tuple[int, ...], ...]]


def checked(rows: Span, axis: Span, axes: Mapping[str, Span], build_seconds: float) -> None:
    """`ValueError` for spans that are none."""
    for name, span in {"rows": rows, "axis": axis, **{f"axes.{word}": span for word, span in axes.items()}}.items():
        if not 1 <= span[0] <= span[1] <= span[2]:
            raise ValueError(f"{name} must be the least, the usual and the most, each at least 1, not {list(span)}")
    if build_seconds <= 0:
        raise ValueError("build_seconds must be above 0")


def build(
    library: str,
    model: Artifact,
    folder: Path,
    spans: Mapping[str, Span],
    *,
    seconds: float,
    tf32: bool,
    capabilities: Sequence[str] = (),
) -> Artifact:
    """The engine below `folder`, with what is to be known of it; its kind is the library's name.

    `Incompatible` with the nodes that the library refused, `StageError` with its words for any other failure.
    """
    place = folder / "engine"
    place.mkdir(parents=True)
    job = Job(
        library=library, model=model.path, engine=place / ENGINE, outcome=folder / "outcome.json",
        axes={spec.name: spec.shape for spec in model.inputs}, spans=spans, capabilities=tuple(capabilities), tf32=tf32,
    )  # fmt: skip
    built = _in_a_child(job, seconds)
    if built.nodes:
        raise Incompatible(f"{library} cannot take the model: {built.reason}", built.nodes)
    if built.reason:
        raise StageError(f"{library} cannot build the engine: {built.reason}")
    about = About(library=library, version=built.version, capabilities=tuple(capabilities), shapes=built.shapes)
    (place / ABOUT).write_bytes(msgspec.json.encode(about, order="deterministic"))
    size = sum(file.stat().st_size for file in place.iterdir())
    return Artifact(
        kind=library, path=place / ENGINE, digest=tree_digest(place), size_bytes=size, inputs=model.inputs,
        outputs=model.outputs,
    )  # fmt: skip


def _in_a_child(job: Job, seconds: float) -> Built:
    """What came of the job, which dies with this process; what the library wrote is told where nothing else is."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", lifeline.__name__, str(os.getpid()), _engine_builder.__name__],
            input=msgspec.json.encode(job, enc_hook=str),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StageError(f"{job.library} was not done building after build_seconds={seconds:g}") from error
    if done.returncode or not job.outcome.is_file():
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()[-1:]
        raise StageError(f"{job.library} broke down while it built: {''.join(said) or f'exit status {done.returncode}'}")
    built = msgspec.json.decode(job.outcome.read_bytes(), type=Built)
    job.outcome.unlink()
    return built


# --- running ----------------------------------------------------------------------------------------------------------


class Memory(Protocol):
    """A device as an engine uses it: `fdpipe.runtime._cuda.Device`, or a stand-in for it."""

    @property
    def capability(self) -> str: ...
    def enter(self) -> None: ...
    def stream(self) -> int: ...
    def wait(self, stream: int) -> None: ...
    def allocate(self, size: int) -> int: ...
    def free(self, address: int) -> None: ...
    def write(self, address: int, array: np.ndarray, stream: int) -> None: ...
    def read(self, address: int, array: np.ndarray, stream: int) -> None: ...
    def close(self) -> None: ...


def open_engine(library: str, artifact: Artifact, device: Memory) -> "TensorRtEngine":
    """The engine on the device; `StageError` for one for another GPU or of another version."""
    with ExitStack() as failed:
        failed.callback(device.close)
        about = msgspec.json.decode((artifact.folder / ABOUT).read_bytes(), type=About)
        if about.capabilities and device.capability not in about.capabilities:
            raise StageError(f"the engine is built for {', '.join(about.capabilities)}, and this GPU is {device.capability}")
        module = importlib.import_module(library)
        heard: list[str] = []
        device.enter()
        opened = module.Runtime(_engine_builder.listener(module, heard)).deserialize_cuda_engine(artifact.path.read_bytes())
        if opened is None:
            told = "; ".join(heard) or "no reason was given"
            raise StageError(f"{library} {module.__version__} cannot open {artifact.path.name} of {about.version}: {told}")
        engine = TensorRtEngine(module, opened, about, device)
        failed.pop_all()
        return engine


def refuse(library: str, artifact: Artifact, session: Session) -> None:
    """`StageError` for what is no engine of this library, and for settings that there are not."""
    if artifact.kind != library:
        raise StageError(f"{library} opens its own engines, not {artifact.kind}: {artifact.path.name}")
    if unknown := sorted(set(session) - {"threads"}):
        raise StageError(f"{library} knows no session setting {unknown[0]!r}: it has threads, which a GPU does not heed")


class TensorRtEngine:
    """An engine on its device; any number of threads may run it, and are answered one after the other. More rows than it was
    built for are asked in parts."""

    def __init__(self, module: Any, engine: Any, about: About, device: Memory) -> None:  # noqa: ANN401 - the library's own
        self._context: Any = engine.create_execution_context()
        self._device, self._about = device, about
        names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
        inputs = {name for name in names if engine.get_tensor_mode(name) == module.TensorIOMode.INPUT}
        self._dtypes = {name: np.dtype(module.nptype(engine.get_tensor_dtype(name))) for name in names}
        self._inputs = [name for name in names if name in inputs]
        self._outputs = [name for name in names if name not in inputs]
        self._stream = device.stream()
        self._memory: dict[str, tuple[int, int]] = {}
        self._turn = threading.Lock()

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        """Outputs by name; `StageError` for inputs that do not fit and a closed engine."""
        arrays = self._fitted(batch)
        if not rows_in(arrays):
            some = {name: np.zeros((1, *array.shape[1:]), array.dtype) for name, array in arrays.items()}
            return take(self.run(some), slice(0, 0))
        most = min(shape[2][0] for shape in self._about.shapes.values())
        with self._turn:
            if self._context is None:
                raise StageError("the model is closed")
            self._device.enter()
            return in_batches(arrays, most, self._asked)

    def close(self) -> None:
        """Give the device's memory back; a call under way ends first."""
        with self._turn:
            if self._context is not None:
                self._context = None
                self._device.enter()
                for address, _ in self._memory.values():
                    self._device.free(address)
                self._memory.clear()
                self._device.close()

    def _fitted(self, batch: Batch) -> dict[str, np.ndarray]:
        if unlike := sorted(set(batch) ^ set(self._inputs)):
            raise StageError(f"{unlike[0]!r} is missing or not known: there must be {', '.join(self._inputs)}")
        for name, array in batch.items():
            least, _, most = self._about.shapes[name]
            within = [low <= size <= high for size, low, high in zip(array.shape[1:], least[1:], most[1:], strict=False)]
            if array.dtype != self._dtypes[name]:
                raise StageError(f"{name} must be {self._dtypes[name]}, got {array.dtype}")
            if array.ndim != len(most) or not all(within):
                raise StageError(f"{name} has the shape {array.shape}; the engine is built for {least} to {most}")
        return {name: np.ascontiguousarray(batch[name]) for name in self._inputs}

    def _asked(self, batch: Batch) -> dict[str, np.ndarray]:
        """One call: copy in, execute, copy out."""
        for name, array in batch.items():
            if not self._context.set_input_shape(name, array.shape):
                raise StageError(f"{name} has the shape {array.shape}, for which the engine is not built")
            self._context.set_tensor_address(name, self._room(name, array.nbytes))
            self._device.write(self._memory[name][0], np.ascontiguousarray(array), self._stream)
        answers = {}
        for name in self._outputs:
            shape = tuple(self._context.get_tensor_shape(name))
            if min(shape, default=0) < 0:
                raise StageError(f"{name} has a shape that depends on the values, which is not supported")
            answers[name] = np.empty(shape, self._dtypes[name])
            self._context.set_tensor_address(name, self._room(name, answers[name].nbytes))
        if not self._context.execute_async_v3(self._stream):
            raise StageError("the engine failed on the device")
        for name, array in answers.items():
            self._device.read(self._memory[name][0], array, self._stream)
        self._device.wait(self._stream)
        return answers

    def _room(self, name: str, size: int) -> int:
        """The address of at least so many bytes for a tensor, kept from call to call."""
        address, held = self._memory.get(name, (0, -1))
        if size > held:
            if self._memory.pop(name, None):  # first: where there is no room for more, nothing points at what is gone
                self._device.free(address)
            address = self._device.allocate(size)
            self._memory[name] = (address, size)
        return address
