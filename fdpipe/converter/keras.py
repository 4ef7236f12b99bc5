"""Keras models: the files of Keras 3 (.keras) and the older ones (.h5), exported with tf2onnx."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel
from fdpipe.converter import _keras_files as files
from fdpipe.converter import _tensorflow as shared
from fdpipe.converter._exported import BATCH, EXPORTER, finished, given, one_line, words
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.interfaces import Export
from fdpipe.mlmodel import flavour_settings

PICKLES = ("custom_objects.cloudpickle", "global_custom_objects.cloudpickle")
"""Where MLflow keeps a model's own classes."""


@dataclass(frozen=True, kw_only=True)
class Keras:
    """No settings. Keras runs on TensorFlow here, whatever the model was trained on."""

    kind: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ("keras", "tensorflow", "tensorflow-cpu", "tf2onnx", "onnx")
    exporter: ClassVar[tuple[str, ...]] = ("tf2onnx>=1.16.1,<1.18", "h5py>=3.9,<4", "cloudpickle>=2,<4", *EXPORTER)
    extra: ClassVar[str] = shared.EXTRA

    def accepts(self, model: SourceModel) -> bool:
        """MLflow's flavours `keras` and `tensorflow`, where they hold no SavedModel."""
        return model.flavour in shared.FLAVOURS and not shared.holds_saved_model(model)

    def risk(self, model: SourceModel) -> str | None:
        """Lambda layers, and classes that are not Keras's own."""
        try:
            path = shared.place_of(model)
            found = files.quick_look(path)
        except (ConversionError, OSError):
            return None  # there is nothing that could be loaded
        pickled = next((name for name in PICKLES if (path.parent / name).is_file()), None)
        return f"its classes in {pickled}" if pickled and (found or path.suffix != ".keras") else found

    def load(self, model: SourceModel) -> Any:  # noqa: ANN401 - a Keras model
        """The model, not compiled. Its own classes are unpickled, and Lambda layers made, only where it is trusted."""
        path = shared.place_of(model)
        code = files.code_in(files.configuration(path))
        if code and not model.trusted:
            raise ConversionError(f"{path.name} holds code, {code}: refused")
        files.refuse_places_outside(path)
        keras = shared.tensorflow().keras
        if (backend := keras.backend.backend()) != "tensorflow":
            raise ConversionError(f"Keras runs on {backend} in this process: set KERAS_BACKEND=tensorflow")
        own = _own_classes(model, path.parent) if self.risk(model) and model.trusted else None
        try:
            return keras.models.load_model(path, custom_objects=own, compile=False, safe_mode=not model.trusted)
        except shared.failures() as error:
            raise ConversionError(f"Keras cannot load {path.name}: {one_line(error)}") from error

    def export(self, model: SourceModel, original: Any, folder: Path, precision: Precision) -> Export:  # noqa: ANN401
        """Inputs are named as in the model, outputs after their layers."""
        if precision is not Precision.FLOAT32:
            raise NotApplicable("a Keras model is exported in the floats that it has")
        tf = shared.tensorflow()
        _, takes = _interface(model, original)
        specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tf.nest.flatten(takes)]

        def answer(*tensors: Any) -> Any:  # noqa: ANN401 - tensors
            return original(tf.nest.pack_sequence_as(takes, tensors), training=False)

        inputs, outputs = _names(model, original)
        try:
            traced = tf.function(answer).get_concrete_function(*specs)
        except shared.failures() as error:
            raise ConversionError(f"TensorFlow cannot trace this model: {one_line(error)}") from error
        graph, *names = shared.function_of(original, traced, inputs, outputs).to_onnx()
        return finished(graph, folder, *names)

    def predict(self, model: SourceModel, original: Any, features: Batch) -> dict[str, np.ndarray]:  # noqa: ANN401
        """What `model.predict` answers."""
        tf = shared.tensorflow()
        _, takes = _interface(model, original)
        inputs, outputs = _names(model, original)
        dtypes = [shared.dtype_name(tf.as_dtype(tensor.dtype)) for tensor in tf.nest.flatten(takes)]
        arrays = given(model, features, inputs, dtypes)
        if not len(arrays[0]):
            raise ConversionError("the original cannot answer: Keras's predict takes no empty batch")
        try:
            found = original.predict(tf.nest.pack_sequence_as(takes, arrays), batch_size=BATCH, verbose=0)
        except shared.failures() as error:
            raise ConversionError(f"the original cannot answer: {one_line(error)}") from error
        return {name: shared.plain(answer) for name, answer in zip(outputs, tf.nest.flatten(found), strict=True)}


def _own_classes(model: SourceModel, folder: Path) -> dict[str, Any]:
    """The model's own classes by name: those that MLflow pickled, and the modules beside them."""
    import cloudpickle

    code = flavour_settings(model.path, model.flavour).get("code")
    if code and (place := str(model.path / str(code))) not in sys.path:
        sys.path.insert(0, place)
    found: dict[str, Any] = {}
    for name in reversed(PICKLES):
        if (folder / name).is_file():
            with (folder / name).open("rb") as stream:
                found |= cloudpickle.load(stream)
    return found


def _interface(model: SourceModel, original: Any) -> tuple[Sequence[str], Any]:  # noqa: ANN401 - Keras's own types
    """The names of what the model takes, and its structure of tensors; of a class of its own, what the signature says."""
    tf = shared.tensorflow()
    takes = _ends(original, "input")
    if takes is None:
        takes = _declared(model, type(original).__name__)
    if isinstance(takes, dict):
        return sorted(takes), takes
    return [tensor.name for tensor in tf.nest.flatten(takes)], takes


def _ends(original: Any, end: str) -> Any:  # noqa: ANN401 - Keras's own types
    """The structure of tensors at one end of the model, `input` or `output`; None where it is a class of its own."""
    try:
        if isinstance(original, shared.tensorflow().keras.Sequential):
            return getattr(original, f"{end}s")[0]
        return getattr(original, end)
    except (AttributeError, ValueError, TypeError):
        return None


def _declared(model: SourceModel, kind: str) -> Any:  # noqa: ANN401 - TensorFlow's own types
    tf = shared.tensorflow()
    if not model.inputs or model.columns:
        raise ConversionError(f"a {kind} does not say what it takes: log it with a signature of tensors")
    shapes = [[axis if isinstance(axis, int) else None for axis in spec.shape] for spec in model.inputs]
    specs = [tf.TensorSpec(shape, spec.dtype, spec.name) for spec, shape in zip(model.inputs, shapes, strict=True)]
    return specs[0] if len(specs) == 1 else {spec.name: spec for spec in specs}


def _names(model: SourceModel, original: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:  # noqa: ANN401 - a Keras model
    """Words for what goes in and out."""
    inputs, _ = _interface(model, original)
    gives = _ends(original, "output")
    if gives is None:
        return words(inputs, ["output"])
    if isinstance(gives, dict):
        return words(inputs, sorted(gives))
    layers = getattr(original, "output_names", None) or [original.layers[-1].name]
    return words(inputs, layers[: len(shared.tensorflow().nest.flatten(gives))])
