"""Models that are ONNX already: checked, and copied with the weights beside them."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from fdpipe import graphs
from fdpipe.arrays import Batch, fit
from fdpipe.artifacts import Precision, SourceModel, Task
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.interfaces import Export
from fdpipe.mlmodel import flavour_file


@dataclass(frozen=True, kw_only=True)
class Onnx:
    """No settings."""

    kind: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")
    exporter: ClassVar[tuple[str, ...]] = ("onnx>=1.17,<1.24", "onnxruntime>=1.20,<1.33")
    extra: ClassVar[str] = ""

    def accepts(self, model: SourceModel) -> bool:
        """MLflow's onnx flavour."""
        return model.flavour == "onnx"

    def risk(self, model: SourceModel) -> str | None:
        """None: the format holds no code."""
        return None

    def load(self, model: SourceModel) -> None:
        """Nothing: what is asked for decides how the file is opened."""

    def export(self, model: SourceModel, original: None, folder: Path, precision: Precision) -> Export:
        """The file and its external data, which must be regular files in the model's folder; outputs keep their names."""
        import onnx

        if precision is not Precision.FLOAT32:
            raise NotApplicable("an ONNX model stays as it is")
        source = flavour_file(model.path, "data")
        for name in _external_files(source):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.parent / name, folder / name)
        target = Path(shutil.copyfile(source, folder / "model.onnx"))
        try:
            onnx.checker.check_model(str(target))
        except graphs.library_errors() as error:
            raise ConversionError(f"{source.name} is no valid ONNX model: {' '.join(str(error).split())[:400]}") from error
        inputs, outputs = graphs.specs(target)
        return Export(path=target, task=_task_of({spec.name for spec in outputs}), inputs=inputs, outputs=outputs)

    def predict(self, model: SourceModel, original: None, features: Batch) -> dict[str, np.ndarray]:
        """ONNX Runtime's answers as far as they are tensors, without any of its optimizations."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            session = onnxruntime.InferenceSession(
                flavour_file(model.path, "data"), options, providers=["CPUExecutionProvider"]
            )
            names = [output.name for output in session.get_outputs() if output.type.startswith("tensor(")]
            return dict(zip(names, session.run(names, _tensors(model, features)), strict=True))
        except graphs.library_errors() as error:
            raise ConversionError(f"the original cannot answer: {' '.join(str(error).split())[:400]}") from error


def _tensors(model: SourceModel, features: Batch) -> dict[str, np.ndarray]:
    """The features as the graph's inputs, by name; a single input takes all of them, whatever it is called."""
    specs, _ = graphs.specs(flavour_file(model.path, "data"))
    if len(specs) > 1 or specs[0].name in features:
        return {spec.name: fit(_with_axes(features[spec.name], len(spec.shape)), spec.dtype, spec.name) for spec in specs}
    parts = [_with_axes(features[spec.name], len(specs[0].shape)) for spec in model.inputs]
    return {specs[0].name: fit(np.concatenate(parts, axis=-1), specs[0].dtype, specs[0].name)}


def _with_axes(array: np.ndarray, count: int) -> np.ndarray:
    """A data frame's column has one axis, and a graph's input often two."""
    return array.reshape(*array.shape, *[1] * (count - array.ndim))


def _external_files(source: Path) -> list[str]:
    """The files with weights that the model names, relative to its own folder."""
    from onnx import load
    from onnx.external_data_helper import ExternalDataInfo, _get_all_tensors, uses_external_data

    try:
        model = load(source, load_external_data=False)
    except graphs.library_errors() as error:
        raise ConversionError(f"{source.name} is no ONNX file: {' '.join(str(error).split())[:200]}") from error
    names = {str(ExternalDataInfo(tensor).location) for tensor in _get_all_tensors(model) if uses_external_data(tensor)}
    for name in names:
        path = source.parent / name
        if Path(name).is_absolute() or ".." in Path(name).parts or path.is_symlink() or not path.is_file():
            raise ConversionError(f"{source.name} keeps weights in {name!r}, which is no regular file in the model's folder")
    return sorted(names)


def _task_of(names: set[str]) -> Task:
    """What the outputs' names say."""
    if "label" in names:
        return Task.CLASSIFICATION
    return Task.REGRESSION if names == {"value"} else Task.TENSORS
