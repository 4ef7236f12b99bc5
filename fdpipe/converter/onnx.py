"""Models that are ONNX already: checked, brought to operators that every runtime here reads, and copied with their weights."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from fdpipe import graphs
from fdpipe.arrays import Batch, fit
from fdpipe.artifacts import Precision, SourceModel, Task
from fdpipe.converter._onnx_files import TARGET, checked, external_files
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.interfaces import Export
from fdpipe.mlmodel import flavour_file

IR_VERSIONS = (8, 10)
"""The versions of the file format that every runtime here reads: from the one of `OPSET` on."""


@dataclass(frozen=True, kw_only=True)
class Onnx:
    """Older operators of ONNX's own set are raised to version `opset`, where onnx can do it; 0 leaves them."""

    opset: int = 17

    kind: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")
    exporter: ClassVar[tuple[str, ...]] = ("onnx>=1.17,<1.24", "onnxruntime>=1.20,<1.33")
    extra: ClassVar[str] = ""

    def __post_init__(self) -> None:
        """Ranges."""
        if self.opset and not 13 <= self.opset <= 25:
            raise ValueError("opset must be 0 or from 13 to 25")

    def accepts(self, model: SourceModel) -> bool:
        """MLflow's onnx flavour."""
        return model.flavour == "onnx"

    def risk(self, model: SourceModel) -> str | None:
        """None: the format holds no code."""
        return None

    def load(self, model: SourceModel) -> Path:
        """The file, once it and its external data, which must be regular files in the model's folder, are checked."""
        source = flavour_file(model.path, "data")
        checked(source)
        return source

    def export(self, model: SourceModel, original: Path, folder: Path, precision: Precision) -> Export:
        """The file and its external data; inputs with a default are constants, and outputs keep their names."""
        if precision is not Precision.FLOAT32:
            raise NotApplicable("an ONNX model stays as it is")
        target = folder / TARGET
        if not self._raised(original, target):
            _copied(original, target)
        inputs, outputs = graphs.specs(target)
        return Export(path=target, task=_task_of({spec.name for spec in outputs}), inputs=inputs, outputs=outputs)

    def predict(self, model: SourceModel, original: Path, features: Batch) -> dict[str, np.ndarray]:
        """ONNX Runtime's answers as far as they are tensors, without any of its optimizations."""
        import onnxruntime

        options = graphs.options_for(original)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            session = onnxruntime.InferenceSession(original, options, providers=["CPUExecutionProvider"])
            names = [output.name for output in session.get_outputs() if output.type.startswith("tensor(")]
            return dict(zip(names, session.run(names, _tensors(model, original, features)), strict=True))
        except graphs.library_errors() as error:
            raise ConversionError(f"the original cannot answer: {_line(error)}") from error

    def _raised(self, source: Path, target: Path) -> bool:
        """Whether the model was old or new, and could be written as other engines want it."""
        model = graphs.read(source)
        opset = max((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), default=self.opset)
        given = {tensor.name for tensor in model.graph.initializer}
        inputs = [value for value in model.graph.input if value.name not in given]
        lowest, highest = IR_VERSIONS
        if opset >= self.opset and lowest <= model.ir_version <= highest and len(inputs) == len(model.graph.input):
            return False
        try:
            made = graphs.raised(model, self.opset) if self.opset else model
            made.ir_version = min(max(made.ir_version, model.ir_version, lowest), highest)
            del made.graph.input[:]
            made.graph.input.extend(inputs)
            graphs.write(made, target)
            _opened(target)
        except graphs.library_errors():
            for left in target.parent.iterdir():
                left.unlink()
            return False
        return True


def _copied(source: Path, target: Path) -> None:
    """The files as they are; `ConversionError` for a model that ONNX Runtime does not open."""
    import onnx

    for name in external_files(checked(source)):
        (target.parent / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.parent / name, target.parent / name)
    shutil.copyfile(source, target)
    try:
        onnx.checker.check_model(str(target))
    except graphs.library_errors() as error:
        raise ConversionError(f"{source.name} is no valid ONNX model: {_line(error)}") from error
    try:
        _opened(target)
    except graphs.library_errors() as error:
        raise ConversionError(f"ONNX Runtime does not open {source.name}: {_line(error)}") from error


def _opened(path: Path) -> None:
    import onnxruntime

    onnxruntime.InferenceSession(path, graphs.options_for(path), providers=["CPUExecutionProvider"])


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:400]


def _tensors(model: SourceModel, source: Path, features: Batch) -> dict[str, np.ndarray]:
    """The features as the graph's inputs, by name; a single input takes all of them, whatever it is called."""
    specs, _ = graphs.specs(source)
    if len(specs) > 1 or specs[0].name in features:
        return {spec.name: fit(_with_axes(features[spec.name], len(spec.shape)), spec.dtype, spec.name) for spec in specs}
    parts = [_with_axes(features[spec.name], len(specs[0].shape)) for spec in model.inputs]
    return {specs[0].name: fit(np.concatenate(parts, axis=-1), specs[0].dtype, specs[0].name)}


def _with_axes(array: np.ndarray, count: int) -> np.ndarray:
    """A data frame's column has one axis, and a graph's input often two."""
    return array.reshape(*array.shape, *[1] * (count - array.ndim))


def _task_of(names: set[str]) -> Task:
    """What the outputs' names say."""
    if "label" in names:
        return Task.CLASSIFICATION
    return Task.REGRESSION if names == {"value"} else Task.TENSORS
