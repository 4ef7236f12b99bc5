"""Models that are OpenVINO's intermediate representation: a graph in model.xml, weights in model.bin; they stay as they are."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fdpipe.arrays import Batch, fit
from fdpipe.artifacts import Precision, SourceModel, Task, TensorSpec
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.interfaces import Export
from fdpipe.mlmodel import flavour_file
from fdpipe.openvino import FAILURES, library, line

KINDS = {
    "f32": "float32", "f64": "float64", "f16": "float16", "i64": "int64", "i32": "int32", "i16": "int16", "i8": "int8",
    "u64": "uint64", "u32": "uint32", "u16": "uint16", "u8": "uint8", "boolean": "bool",
}  # fmt: skip
"""OpenVINO's names of the types that are numpy's too."""


@dataclass(frozen=True, kw_only=True)
class OpenVino:
    """No settings. MLmodel must have a flavour `openvino` whose `model` names the xml file; the weights lie beside it."""

    kind: ClassVar[str] = "openvino"
    packages: ClassVar[tuple[str, ...]] = ("openvino",)
    exporter: ClassVar[tuple[str, ...]] = ("openvino>=2026.2,<2027",)
    extra: ClassVar[str] = "openvino"

    def accepts(self, model: SourceModel) -> bool:
        """A flavour of that name, which MLflow itself has not: `Model().add_flavor("openvino", model="model.xml")`."""
        return model.flavour == "openvino"

    def risk(self, model: SourceModel) -> str | None:
        """None: the format holds no code, and no extension is loaded."""
        return None

    def load(self, model: SourceModel) -> Any:  # noqa: ANN401 - a CompiledModel
        """The model, compiled for the processor in float32."""
        openvino = library()
        graph, weights = _files(model)
        core = openvino.Core()
        try:
            read = core.read_model(str(graph), str(weights))
            return core.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        except FAILURES as error:
            raise ConversionError(f"openvino {openvino.__version__} cannot open {graph.name}: {line(error)}") from error

    def export(self, model: SourceModel, original: Any, folder: Path, precision: Precision) -> Export:  # noqa: ANN401
        """A copy of both files; outputs keep their names."""
        if precision is not Precision.FLOAT32:
            raise NotApplicable("an OpenVINO model stays as it is")
        graph, weights = _files(model)
        shutil.copyfile(weights, folder / "model.bin")
        path = Path(shutil.copyfile(graph, folder / "model.xml"))
        inputs, outputs = _specs(original.inputs, "input"), _specs(original.outputs, "output")
        return Export(path=path, task=_task_of({spec.name for spec in outputs}), inputs=inputs, outputs=outputs)

    def predict(self, model: SourceModel, original: Any, features: Batch) -> dict[str, np.ndarray]:  # noqa: ANN401
        """OpenVINO's own answers."""
        names = [spec.name for spec in _specs(original.outputs, "output")]
        try:
            found = original.create_infer_request().infer(_tensors(model, original, features))
        except FAILURES as error:
            raise ConversionError(f"the original cannot answer: {line(error)}") from error
        return {name: np.array(found[number]) for number, name in enumerate(names)}


def _files(model: SourceModel) -> tuple[Path, Path]:
    """The graph and its weights: regular files in the model's folder, of the same stem."""
    graph = flavour_file(model.path, "model")
    weights = graph.with_suffix(".bin")
    if graph.suffix != ".xml" or weights.is_symlink() or not weights.is_file():
        raise ConversionError(f"{graph.name} must be an xml file with its weights, {weights.name}, beside it")
    if b"<!DOCTYPE" in graph.read_bytes():
        raise ConversionError(f"{graph.name} declares a document type, which no OpenVINO model has: refused")
    return graph, weights


def _specs(ports: Any, unnamed: str) -> tuple[TensorSpec, ...]:  # noqa: ANN401 - openvino's type
    return tuple(_spec(port, f"{unnamed}_{number}") for number, port in enumerate(ports))


def _spec(port: Any, unnamed: str) -> TensorSpec:  # noqa: ANN401 - openvino's type
    """A tensor may have several names or none; the first in the alphabet counts."""
    name = min(port.names, default=unnamed)
    kind = port.element_type
    if kind.get_type_name() not in KINDS:
        raise ConversionError(f"{name!r} is of the type {kind.get_type_name()}: it must be one of {', '.join(KINDS)}")
    if port.partial_shape.rank.is_dynamic:
        raise ConversionError(f"{name!r} may have any number of axes: convert the model with a shape for each of its inputs")
    axes = ("rows", *(f"{name}_{axis}" for axis in range(1, len(port.partial_shape))))
    shape = tuple(word if size.is_dynamic else size.get_length() for word, size in zip(axes, port.partial_shape, strict=True))
    return TensorSpec(name=name, dtype=KINDS[kind.get_type_name()], shape=shape)


def _tensors(model: SourceModel, original: Any, features: Batch) -> dict[str, np.ndarray]:  # noqa: ANN401
    """The features as the graph's inputs, by name; a single input takes all of them, whatever it is called."""
    specs = _specs(original.inputs, "input")
    if len(specs) > 1 or specs[0].name in features:
        found = {spec.name: [features[spec.name]] for spec in specs}
    else:
        found = {specs[0].name: [features[spec.name] for spec in model.inputs]}
    return {spec.name: _joined(found[spec.name], spec) for spec in specs}


def _joined(parts: list[np.ndarray], spec: TensorSpec) -> np.ndarray:
    """A data frame's column has one axis, and a graph's input often two."""
    columns = [part.reshape(*part.shape, *[1] * (len(spec.shape) - part.ndim)) for part in parts]
    return fit(np.concatenate(columns, axis=-1), spec.dtype, spec.name)


def _task_of(names: set[str]) -> Task:
    """What the outputs' names say."""
    if "label" in names:
        return Task.CLASSIFICATION
    return Task.REGRESSION if names == {"value"} else Task.TENSORS
