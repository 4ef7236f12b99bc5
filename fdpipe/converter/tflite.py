"""TensorFlow Lite's files, quantized or not, exported with tf2onnx."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fdpipe import extras, graphs
from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel
from fdpipe.converter import _tensorflow as shared
from fdpipe.converter._exported import EXPORTER, OPSET, finished, given, one_line, words
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.interfaces import Export
from fdpipe.mlmodel import flavour_file

IDENTIFIER = b"TFL3"
"""Bytes 4 to 8 of every such file."""


@dataclass(frozen=True, kw_only=True)
class TFLite:
    """No settings. MLflow has no flavour for it: the MLmodel file has one `tflite`, whose `model` names the file."""

    kind: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ("tensorflow", "tensorflow-cpu", "tf2onnx", "onnx")
    exporter: ClassVar[tuple[str, ...]] = ("tf2onnx>=1.16.1,<1.18", *EXPORTER)
    extra: ClassVar[str] = shared.EXTRA

    def accepts(self, model: SourceModel) -> bool:
        """The flavour `tflite`."""
        return model.flavour == "tflite"

    def risk(self, model: SourceModel) -> str | None:
        """A graph, no code; but TensorFlow's own operators may be in it, and some of them write and read files."""
        content = flavour_file(model.path, "model").read_bytes()
        found = next((name for name in shared.OUTSIDE if b"Flex" + name.encode() in content), None)
        return f"a graph with the operator Flex{found}" if found else None

    def load(self, model: SourceModel) -> "Lite":
        """TensorFlow's interpreter with the file in it."""
        path = flavour_file(model.path, "model")
        if path.read_bytes()[4:8] != IDENTIFIER:
            raise ConversionError(f"{path.name} is no TensorFlow Lite file: its bytes 4 to 8 are not {IDENTIFIER.decode()}")
        tf = shared.tensorflow()
        try:
            interpreter = tf.lite.Interpreter(str(path))
            interpreter.allocate_tensors()
        except shared.failures() as error:
            raise ConversionError(f"TensorFlow Lite cannot load {path.name}: {one_line(error)}") from error
        inputs, outputs = _ends(interpreter, "input"), _ends(interpreter, "output")
        return Lite(interpreter, inputs, outputs, *words(inputs, outputs))

    def export(self, model: SourceModel, original: "Lite", folder: Path, precision: Precision) -> Export:
        """Names are those of the file's signature where it has one, and its tensors' otherwise."""
        if precision is not Precision.FLOAT32:
            raise NotApplicable("a TensorFlow Lite file is exported in the numbers that it has")
        graph = _to_onnx(flavour_file(model.path, "model"))
        ends = (original.inputs, original.input_words), (original.outputs, original.output_words)
        inputs, outputs = ({one["name"]: word for one, word in zip(found.values(), said, strict=True)} for found, said in ends)
        if original.is_fixed:
            _open_rows(graph, inputs)
        export = finished(graph, folder, inputs, outputs)
        _ask_two_rows(export)
        return export

    def predict(self, model: SourceModel, original: "Lite", features: Batch) -> dict[str, np.ndarray]:
        """The interpreter's answers; a file with a batch of 1 is asked row by row."""
        dtypes = [np.dtype(one["dtype"]).name for one in original.inputs.values()]
        arrays = given(model, features, original.input_words, dtypes)
        rows = len(arrays[0])
        size = 1 if original.is_fixed else rows
        if not rows:
            raise ConversionError("the original cannot answer: TensorFlow Lite takes no empty batch")
        try:
            parts = [original.ask([array[start : start + size] for array in arrays]) for start in range(0, rows, size)]
        except shared.failures() as error:
            raise ConversionError(f"the original cannot answer: {one_line(error)}") from error
        return {name: np.concatenate(answers) for name, *answers in zip(original.output_words, *parts, strict=True)}


@dataclass(frozen=True)
class Lite:
    """An interpreter, and what it says of its inputs and outputs, by the names of its signature; our words for them."""

    interpreter: Any
    inputs: Mapping[str, Mapping[str, Any]]
    outputs: Mapping[str, Mapping[str, Any]]
    input_words: tuple[str, ...]
    output_words: tuple[str, ...]

    @property
    def is_fixed(self) -> bool:
        """Whether the file has been made for a batch of 1."""
        return any(_signature(one)[:1] == [1] for one in self.inputs.values())

    def ask(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs for one batch."""
        places = [one["index"] for one in self.inputs.values()]
        for place, array in zip(places, arrays, strict=True):
            self.interpreter.resize_tensor_input(place, array.shape)
        self.interpreter.allocate_tensors()
        for place, array in zip(places, arrays, strict=True):
            self.interpreter.set_tensor(place, array)
        self.interpreter.invoke()
        return [np.array(self.interpreter.get_tensor(one["index"])) for one in self.outputs.values()]


def _signature(detail: Mapping[str, Any]) -> list[int]:
    """The shape with -1 where an axis is open; older files do not say and have 1."""
    return [int(axis) for axis in (detail["shape_signature"] if len(detail["shape_signature"]) else detail["shape"])]


def _ends(interpreter: Any, end: str) -> dict[str, Mapping[str, Any]]:  # noqa: ANN401 - TensorFlow's own
    """What the interpreter says of its inputs or outputs."""
    found = {one["name"]: one for one in getattr(interpreter, f"get_{end}_details")()}
    named = list(interpreter.get_signature_list())
    if len(named) != 1:
        return found
    details = getattr(interpreter.get_signature_runner(named[0]), f"get_{end}_details")()
    called = {one["name"]: word for word, one in details.items()}
    return {called.get(name, name): one for name, one in found.items()}


def _to_onnx(path: Path) -> Any:  # noqa: ANN401 - a ModelProto
    tf2onnx = extras.require("tf2onnx", extra=shared.EXTRA)
    try:
        graph, _ = tf2onnx.convert.from_tflite(str(path), opset=OPSET)
    except shared.failures() as error:
        raise ConversionError(f"tf2onnx cannot export {path.name}: {one_line(error)}") from error
    return shared.settled(graph)


def _open_rows(graph: Any, inputs: Mapping[str, str]) -> None:  # noqa: ANN401 - a ModelProto
    """Let a graph for a batch of 1 take any: its first axes are opened, and where it reshapes to 1 row it shall keep as many
    as there are. Whether that is true for this graph is then tried."""
    from onnx import numpy_helper

    for value in (*graph.graph.input, *graph.graph.output):
        value.type.tensor_type.shape.dim[0].ClearField("dim_value")
    constants = {tensor.name: tensor for tensor in graph.graph.initializer}
    flowing = set(inputs)
    for node in graph.graph.node:
        if not flowing & set(node.input):
            continue
        flowing |= set(node.output)
        if node.op_type == "Reshape" and node.input[1] in constants:
            shape = numpy_helper.to_array(constants[node.input[1]]).copy()
            if shape[:1].tolist() == [1]:
                shape[0] = 0  # of ONNX's Reshape: the axis as it was
                name = f"{node.input[1]}_rows"
                if name not in constants:
                    constants[name] = numpy_helper.from_array(shape, name)
                    graph.graph.initializer.append(constants[name])
                node.input[1] = name


def _ask_two_rows(export: Export) -> None:
    """`ConversionError` for a graph that holds on to its batch of 1."""
    import onnxruntime

    options = graphs.options_for(export.path)
    rows = {
        spec.name: np.zeros([2, *(axis if isinstance(axis, int) else 1 for axis in spec.shape[1:])], spec.dtype)
        for spec in export.inputs
    }
    try:
        session = onnxruntime.InferenceSession(str(export.path), options, providers=["CPUExecutionProvider"])
        answers = session.run(None, rows)
    except graphs.library_errors() as error:
        raise ConversionError(f"the file holds on to a batch of 1, convert it with an open one: {one_line(error)}") from error
    if any(len(answer) != 2 for answer in answers):
        raise ConversionError("the file holds on to a batch of 1: convert it with an open first axis")
