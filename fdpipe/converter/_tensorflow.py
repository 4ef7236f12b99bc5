"""What the converters for SavedModels and Keras files share: where MLflow puts them, and tf2onnx."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fdpipe import extras
from fdpipe.arrays import Batch
from fdpipe.artifacts import SourceModel
from fdpipe.converter._exported import OPSET, one_line, settle, words
from fdpipe.errors import ConversionError
from fdpipe.mlmodel import flavour_settings

FLAVOURS = ("tensorflow", "keras")

EXTRA = "tensorflow"

SAVED_MODEL = "saved_model.pb"

COUNTED = re.compile(r"__\d+(?=:|$)")
"""What tf2onnx appends to names."""

OUTSIDE = (
    "WriteFile", "ReadFile", "WholeFileReader", "MatchingFiles", "PyFunc", "PrintV2", "DebugIdentityV2", "SaveDataset",
    "LoadDataset", "TextLineDataset", "TFRecordDataset", "FixedLengthRecordDataset", "DataServiceDataset", "SummaryWriter",
)  # fmt: skip
"""Operators that reach out of a graph, to files or to Python; the savers that every SavedModel has are not among them."""


def place_of(model: SourceModel) -> Path:
    """The SavedModel's folder, or the Keras file; `ConversionError` where MLmodel names neither."""
    settings = flavour_settings(model.path, model.flavour)
    root = model.path.resolve()
    for name in _names(settings):
        found = (root / name).resolve()
        if found.is_relative_to(root) and (found.is_file() or (found / SAVED_MODEL).is_file()):
            return found
    said = settings.get("saved_model_dir") or settings.get("data")
    raise ConversionError(f"MLmodel names {said!r}, where there is neither a SavedModel nor a .keras or .h5 file")


def _names(settings: Mapping[str, Any]) -> list[str]:
    """Where MLflow has put them over the years, below the model's folder."""
    if "saved_model_dir" in settings:
        return [str(settings["saved_model_dir"])]
    data = str(settings.get("data", "data"))
    return [f"{data}/model", f"{data}/model.keras", f"{data}/model.h5", data]


def holds_saved_model(model: SourceModel) -> bool:
    """Whether it is a SavedModel; a Keras file otherwise, or nothing at all."""
    if "saved_model_dir" in flavour_settings(model.path, model.flavour):
        return True
    try:
        return place_of(model).is_dir()
    except ConversionError:
        return False


def tensorflow() -> Any:  # noqa: ANN401 - a module
    """TensorFlow, with Keras on top of it; `MissingExtra` without it."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    return extras.require("tensorflow", extra=EXTRA)


def failures() -> tuple[type[Exception], ...]:
    """What TensorFlow, Keras and tf2onnx raise."""
    builtin = (ValueError, TypeError, RuntimeError, LookupError, AttributeError, AssertionError, ArithmeticError, OSError)
    return (*builtin, NotImplementedError, ImportError, tensorflow().errors.OpError)


@dataclass(frozen=True)
class Function:
    """A function of TensorFlow, traced. `owner` keeps its variables; `inputs` and `outputs` are words for its tensors, in
    the order in which it takes and gives them, and `specs` what it takes."""

    owner: Any
    traced: Any
    specs: tuple[Any, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def to_onnx(self) -> tuple[Any, dict[str, str], dict[str, str]]:
        """The graph, with our names for its inputs and outputs; `ConversionError` with what tf2onnx said."""
        extras.require("tf2onnx", extra=EXTRA)
        taken = {tensor.name for tensor in self.traced.graph.internal_captures}
        inputs = [tensor.name for tensor in self.traced.inputs if tensor.name not in taken]
        outputs = [tensor.name for tensor in self.traced.outputs]
        try:
            graph = _to_onnx(self.owner, self.traced, inputs, outputs)
        except failures() as error:
            raise ConversionError(f"tf2onnx cannot export this model: {one_line(error)}") from error
        return graph, dict(zip(inputs, self.inputs, strict=True)), dict(zip(outputs, self.outputs, strict=True))

    def ask(self, batch: Batch) -> dict[str, np.ndarray]:
        """The answers to arrays by our names for the inputs."""
        tf = tensorflow()
        left = iter([tf.convert_to_tensor(batch[name]) for name in self.inputs])
        signature = self.traced.structured_input_signature
        leaves = [next(left) if isinstance(leaf, tf.TensorSpec) else leaf for leaf in tf.nest.flatten(signature)]
        args, kwargs = tf.nest.pack_sequence_as(signature, leaves)
        answers = tf.nest.flatten(self.traced(*args, **kwargs))
        return {name: plain(answer) for name, answer in zip(self.outputs, answers, strict=True)}


def function_of(owner: Any, traced: Any, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> Function:  # noqa: ANN401
    """The function, its tensors named as it says itself where no names are given."""
    tf = tensorflow()
    specs = tuple(spec for spec in tf.nest.flatten(traced.structured_input_signature) if isinstance(spec, tf.TensorSpec))
    answers = traced.structured_outputs
    if not outputs and isinstance(answers, dict):
        outputs = sorted(answers)
    if not outputs or len(outputs) != len(traced.outputs):
        outputs = [f"output_{number}" for number in range(len(traced.outputs))]
    named = words(inputs or [spec.name or "input" for spec in specs], outputs)
    return Function(owner, traced, specs, *named)


def _to_onnx(owner: Any, traced: Any, inputs: list[str], outputs: list[str]) -> Any:  # noqa: ANN401 - a ModelProto
    tf = tensorflow()
    from tf2onnx import optimizer, tf_loader
    from tf2onnx.tfonnx import process_tf_graph

    with tf.device("/cpu:0"):
        frozen, tables = tf_loader.from_trackable(owner, traced, inputs, outputs, False)
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(frozen, name="")
            made = process_tf_graph(
                graph, opset=OPSET, input_names=inputs, output_names=outputs, initialized_tables=tables
            )  # fmt: skip
        model = optimizer.optimize_graph(made, catch_errors=True).make_model("model")
    return settled(model)


def settled(model: Any) -> Any:  # noqa: ANN401 - a ModelProto
    """What tf2onnx made, the same each time; `ConversionError` where it left something as it was."""
    settle(model, COUNTED)
    if unknown := sorted({node.op_type for node in model.graph.node if not _is_known(node)}):
        raise ConversionError(f"tf2onnx has no ONNX for {', '.join(unknown)}: the model cannot be exported")
    return model


def _is_known(node: Any) -> bool:  # noqa: ANN401 - a NodeProto
    """tf2onnx leaves in the graph, under its old name, what it cannot translate."""
    import onnx

    return bool(onnx.defs.has(node.op_type, domain=node.domain))


def dtype_name(dtype: Any) -> str:  # noqa: ANN401 - TensorFlow's own type of a type
    """TensorFlow's type as a TensorSpec of ours has it."""
    return "string" if dtype == tensorflow().string else str(dtype.as_numpy_dtype.__name__)


def plain(answer: Any) -> np.ndarray:  # noqa: ANN401 - a tensor or an array
    """An answer as an array, text as strings."""
    array = np.asarray(answer)
    if array.dtype.kind not in "OS":
        return array
    texts = [item.decode() if isinstance(item, bytes) else str(item) for item in array.ravel()]
    return np.array(texts, dtype=str).reshape(array.shape)
