"""ONNX Runtime's own format, for builds that have only the operators which a model needs: phones and small ARM machines."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np

from fdpipe import extras, graphs
from fdpipe.arrays import Batch, in_batches, rows_in, take
from fdpipe.artifacts import Artifact, Unsupported
from fdpipe.content import tree_digest
from fdpipe.errors import StageError
from fdpipe.interfaces import Engine, Session
from fdpipe.runtime import _devices
from fdpipe.runtime._onnxruntime_sessions import opened

KIND = "ort"
MODEL, OPERATORS, ABOUT = "model.ort", "required_operators_and_types.config", "compatibility.json"


class Optimized(StrEnum):
    """When the graph is optimized: all at once, here; or in part where it runs, once a device has taken what it can."""

    HERE = "here"
    THERE = "there"


@dataclass(frozen=True, kw_only=True)
class About:
    """What stands beside a model, in `compatibility.json`: both sizes, how many nodes there are, the rows that it is fixed to
    (0: any number), and the nodes that each device leaves to the processor."""

    onnx_bytes: int
    ort_bytes: int
    nodes: int
    rows: int = 0
    left_over: Mapping[str, tuple[Unsupported, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OrtFormat:
    """`rows` is how many a call on the device has, which devices want to know (0 leaves it open); more are asked one call
    after the other. `optimized` says when the graph is, `devices` (nnapi, coreml) are compared with its operators.

    It is made for ARM: without the layouts that only x86-64 has, and quantized to signed 8 bits where the graph is. Here it is
    run by ONNX Runtime on the processor: its answers are these, and its speed is another machine's.
    """

    packages: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    kinds: ClassVar[tuple[str, ...]] = ("onnx",)
    makes: ClassVar[str] = KIND

    rows: int = 0
    optimized: Optimized = Optimized.HERE
    devices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """A number of rows, and devices of which there is a list."""
        if self.rows < 0:
            raise ValueError("rows must not be negative; 0 leaves their number open")
        if unknown := sorted(set(self.devices) - set(_devices.LISTED)):
            raise ValueError(f"devices must be of {', '.join(_devices.LISTED)}, not {unknown[0]}")

    def check(self) -> None:
        """`MissingExtra` where ONNX Runtime is not installed."""
        extras.require("onnxruntime", extra="")

    def absent(self) -> str | None:
        """None: what it makes runs on any processor."""
        return None

    def sessions(self) -> tuple[Session, ...]:
        """One: ONNX Runtime's own defaults."""
        return ({},)

    def ready(self, model: Artifact, folder: Path) -> Artifact:
        """`model.ort`, beside it the operators and types that a reduced build needs (`--include_ops_by_config`), and what the
        devices leave over."""
        place = folder / "model"
        place.mkdir(parents=True)
        with tempfile.TemporaryDirectory() as scratch, graphs.told("writing ONNX Runtime's format"):
            source = _fixed(model.path, Path(scratch) / "fixed.onnx", self.rows) if self.rows else model.path
            _save(source, place / MODEL, self.optimized)
            _write_operators(source, place, self.optimized)
            left = _devices.left_over(source, self.devices)
        size, nodes = (place / MODEL).stat().st_size, len(graphs.operators(model.path))
        about = About(onnx_bytes=model.size_bytes, ort_bytes=size, nodes=nodes, rows=self.rows, left_over=left)
        (place / ABOUT).write_bytes(msgspec.json.encode(about, order="deterministic"))
        return replace(
            model, kind=KIND, path=place / MODEL, digest=tree_digest(place), size_bytes=about.ort_bytes, provenance=None
        )

    def unsupported(self, artifact: Artifact) -> tuple[Unsupported, ...]:
        """The nodes that the devices leave to the processor."""
        return _devices.told(_about(artifact).left_over)

    def open(self, artifact: Artifact, session: Session) -> Engine:
        """Load it with ONNX Runtime's session settings; `StageError` for an unknown one or a model that cannot be loaded."""
        if artifact.kind not in (KIND, "onnx"):
            raise StageError(f"ort_format opens {KIND}, not {artifact.kind}: {artifact.path.name}")
        engine = opened(artifact.path, session)
        rows = _about(artifact).rows if artifact.kind == KIND else 0
        return FixedEngine(engine, rows) if rows else engine


class FixedEngine:
    """An open model that takes exactly so many rows in a call, asked for any number."""

    def __init__(self, engine: Engine, rows: int) -> None:
        self._engine, self._rows = engine, rows

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        """One call after the other; the last is filled up with its own last row."""
        return in_batches(batch, self._rows, self._filled)

    def close(self) -> None:
        """Drop the model."""
        self._engine.close()

    def _filled(self, batch: Batch) -> dict[str, np.ndarray]:
        rows = rows_in(batch)
        if rows in (0, self._rows):
            return self._engine.run(batch)
        return take(self._engine.run(take(batch, np.minimum(np.arange(self._rows), rows - 1))), slice(0, rows))


def _about(artifact: Artifact) -> About:
    return msgspec.json.decode((artifact.folder / ABOUT).read_bytes(), type=About)


def _fixed(source: Path, target: Path, rows: int) -> Path:
    """The graph for exactly so many rows, whatever it calls them."""
    model = graphs.read(source)
    given = {tensor.name for tensor in model.graph.initializer}
    firsts = [one.type.tensor_type.shape.dim[0] for one in model.graph.input if one.name not in given]
    words = {axis.dim_param for axis in firsts if axis.dim_param}
    for axis in firsts:
        if not axis.HasField("dim_value"):
            axis.dim_value = rows
    for one in model.graph.output:
        for axis in one.type.tensor_type.shape.dim:
            if axis.dim_param in words:
                axis.dim_value = rows
    del model.graph.value_info[:]
    graphs.write(model, target)
    return target


def _save(source: Path, target: Path, optimized: Optimized, *, replayed: bool = False) -> None:
    """Load the model and have the optimized one written; with `replayed` as it would be once its saved optimizations ran."""
    import onnxruntime

    options = graphs.options_for(source)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.optimized_model_filepath = str(target)
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    if optimized is Optimized.THERE:
        options.add_session_config_entry("optimization.minimal_build_optimizations", "apply" if replayed else "save")
    onnxruntime.InferenceSession(
        str(source), options, providers=["CPUExecutionProvider"], disabled_optimizers=["NchwcTransformer"]
    )


def _write_operators(source: Path, place: Path, optimized: Optimized) -> None:
    """The operators that the model may come to, whether or not its saved optimizations are run; without the files' paths."""
    from onnxruntime.tools.ort_format_model import create_config_from_models

    with tempfile.TemporaryDirectory() as scratch:
        models = [place / MODEL]
        if optimized is Optimized.THERE:
            models.append(Path(scratch) / MODEL)
            _save(source, models[-1], optimized, replayed=True)
        create_config_from_models(models, place / OPERATORS, True)
    lines = (place / OPERATORS).read_text().splitlines()
    (place / OPERATORS).write_text("".join(f"{line}\n" for line in lines if not line.startswith("#")))
