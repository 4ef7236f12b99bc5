"""ONNX files: what is in them, a look at every tensor inside, and writing them. Needs onnx and onnxruntime when called."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from fdpipe.artifacts import TensorSpec
from fdpipe.errors import NotApplicable, StageError

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto
    from onnxruntime import InferenceSession, SessionOptions

FLOATS = {"tensor(float)": 1, "tensor(float16)": 10, "tensor(double)": 11}
"""ONNX Runtime's names of the float types, with their numbers in TensorProto."""

KEEP_SHAPE = ("Scaler", "Imputer", "Normalizer", "Binarizer")
"""Operators of `ai.onnx.ml` whose output has their input's shape, which ONNX Runtime does not know."""

SHAPE_BYTES = 2**16
"""No tensor that says a shape is larger."""

OUTLINES = 16
"""So many outlines are kept; each is some hundred kB."""

VALUES = ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")
"""The fields of a tensor in which its values may lie."""

INLINE_BYTES = 2**30
"""Above this, weights are written beside the graph: one protobuf message holds less than 2 GiB."""


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn what onnx and onnxruntime raise into a `StageError`: a recipe that fails is a trial with a reason.

    ONNX Runtime's quantizers call `logging.warning`, which would give a bare root logger a handler for good.
    """
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)
    try:
        yield
    except library_errors() as error:
        raise StageError(f"{what} failed: {' '.join(str(error).split())}") from error
    finally:
        root.removeHandler(handler)


def library_errors() -> tuple[type[Exception], ...]:
    """Everything that onnx and onnxruntime raise; neither gives its errors a base of their own."""
    from google.protobuf.message import Error
    from onnx import checker, shape_inference, version_converter
    from onnxruntime.capi import onnxruntime_pybind11_state as native

    builtin = (ValueError, TypeError, RuntimeError, LookupError, AttributeError, AssertionError, ArithmeticError)
    runtime = [item for item in vars(native).values() if isinstance(item, type) and issubclass(item, Exception)]
    onnx = (checker.ValidationError, shape_inference.InferenceError, version_converter.ConvertError, Error)
    return (*builtin, *onnx, *runtime)


def read(path: Path) -> "ModelProto":
    """The model with its weights, wherever they lie."""
    import onnx

    return onnx.load(path)


def outline(path: Path) -> "ModelProto":
    """The model without its weights' values, for looking only: the same object is given to all who ask for this file."""
    state = path.stat()
    return _outline(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=OUTLINES)
def _outline(path: Path, modified_ns: int, size_bytes: int) -> "ModelProto":
    import onnx

    model = _graph_only(path)
    for tensor in model.graph.initializer:
        for values in VALUES:
            tensor.ClearField(values)
    return onnx.ModelProto.FromString(model.SerializeToString())  # a message keeps the memory of what it has lost


def write(model: "ModelProto", path: Path, *, inline_bytes: int = INLINE_BYTES) -> None:
    """Save the model as one file or, where its weights are large, with `<name>.data` beside it."""
    import onnx

    beside = sum(tensor.ByteSize() for tensor in model.graph.initializer) > inline_bytes
    onnx.save_model(model, path, save_as_external_data=beside, location=f"{path.name}.data")


def specs(path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """The inputs and outputs that are tensors. The inputs' symbolic first axis is `rows`, wherever else it stands; other
    symbolic axes keep their word or, without one, get `<name>_<axis>`."""
    graph = outline(path).graph
    given = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in given]
    firsts = [value.type.tensor_type.shape.dim[:1] for value in inputs]
    rows = {axes[0].dim_param for axes in firsts if axes and axes[0].dim_param}
    outputs = [value for value in graph.output if value.type.HasField("tensor_type")]
    return tuple(_spec(value, rows) for value in inputs), tuple(_spec(value, rows) for value in outputs)


def _spec(value: "ValueInfoProto", rows: set[str]) -> TensorSpec:
    from onnx import TensorProto, helper

    tensor = value.type.tensor_type
    is_text = tensor.elem_type == TensorProto.STRING
    dtype = "string" if is_text else str(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    axes: list[int | str] = []
    for number, axis in enumerate(tensor.shape.dim):
        unnamed = "rows" if number == 0 else f"{value.name}_{number}"
        symbol = "rows" if axis.dim_param in rows else axis.dim_param or unnamed
        axes.append(axis.dim_value if axis.HasField("dim_value") else symbol)
    return TensorSpec(name=value.name, dtype=dtype, shape=tuple(axes))


def has_external_data(path: Path) -> bool:
    """Whether some weights lie in files beside the graph."""
    return any(tensor.external_data for tensor in outline(path).graph.initializer)


def drop_unused_domains(path: Path) -> None:
    """Remove the operator sets that no node uses: other engines refuse a file that names sets they do not know."""
    model = _graph_only(path)
    used = {node.domain for node in model.graph.node} | {""}
    kept = [one for one in model.opset_import if one.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    path.write_bytes(model.SerializeToString())


def is_onnx(path: Path) -> bool:
    """Whether it can be read as a graph."""
    from google.protobuf.message import DecodeError

    try:
        return path.is_file() and bool(outline(path).graph.node)
    except DecodeError:
        return False


def operators(path: Path) -> list[str]:
    """The operator of every node, in order."""
    return [node.op_type for node in outline(path).graph.node]


def check_outputs(path: Path, names: Iterable[str]) -> None:
    """`NotApplicable` for the first of these names that is no node's first output."""
    if not (wanted := list(names)):
        return
    known = {node.output[0] for node in outline(path).graph.node if node.output}
    if unknown := [name for name in wanted if name not in known]:
        raise NotApplicable(f"exclude names {unknown[0]!r}, which is the first output of no node of this graph")


def ensure_replaces(made: Path, source: Path) -> None:
    """`StageError` where the model made from `source` cannot be opened, `NotApplicable` where it has not the same inputs
    and outputs, by name, type and, for inputs, axes."""
    ensure_opens(made)
    if _interface(made) != _interface(source):
        raise NotApplicable("the new model has other inputs or outputs than the one it was made from")


def ensure_opens(made: Path) -> None:
    """`StageError` where ONNX Runtime cannot open a model that was made. Nothing is optimized for it, nor laid out anew: the
    runtime does both when it opens the candidate."""
    import onnxruntime

    options = options_for(made)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.disable_prepacking", "1")
    with told("opening the new model"):
        onnxruntime.InferenceSession(str(made), options, providers=["CPUExecutionProvider"])


def annotated(path: Path) -> "ModelProto":
    """The model with a name for every node and the type of every float tensor written down.

    ONNX's own inference knows no types behind operators of `ai.onnx.ml` and `com.microsoft`, and a quantizer leaves alone
    what has no type; ONNX Runtime knows them all.
    """
    from onnx import TypeProto, ValueInfoProto

    model = read(path)
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"fdpipe_{node.op_type}_{number}"
    known = {value.name for value in (*model.graph.value_info, *model.graph.input, *model.graph.output)}
    for name, kind in float_tensors(open_inside_out(path)).items():
        if name not in known:
            tensor = TypeProto.Tensor(elem_type=FLOATS[kind])
            model.graph.value_info.append(ValueInfoProto(name=name, type=TypeProto(tensor_type=tensor)))
    return model


def shaped(path: Path) -> "ModelProto":
    """The model with every shape written down that follows from its inputs' and its weights', as far as onnx knows the
    operators; `onnxruntime.tools.symbolic_shape_infer` knows more, and fails on what torch exports."""
    return inferred(read(path))


def inferred(model: "ModelProto") -> "ModelProto":
    """The same model, with its notes of shapes made anew. Large weights are not copied for it: their shapes are enough."""
    from onnx import ModelProto, TensorProto, shape_inference

    light = ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions)
    for name in ("node", "input", "output", "value_info", "sparse_initializer"):
        getattr(light.graph, name).extend(getattr(model.graph, name))
    for tensor in model.graph.initializer:
        small = tensor.ByteSize() < SHAPE_BYTES
        light.graph.initializer.append(
            tensor if small else TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
        )
    light.graph.name = model.graph.name
    found = shape_inference.infer_shapes(light, data_prop=True).graph
    for name in ("value_info", "output"):
        del getattr(model.graph, name)[:]
        getattr(model.graph, name).extend(getattr(found, name))
    return model


def raised(model: "ModelProto", opset: int) -> "ModelProto":
    """The model with ONNX's own operators in this version at least, and with what is written down of its tensors."""
    from onnx import version_converter

    if max(one.version for one in model.opset_import if one.domain in ("", "ai.onnx")) >= opset:
        return model
    found = version_converter.convert_version(model, opset)
    known = {value.name for value in (*found.graph.value_info, *found.graph.input, *found.graph.output)}
    found.graph.value_info.extend(value for value in model.graph.value_info if value.name not in known)
    return found


def with_shapes(path: Path) -> "ModelProto":
    """The graph, its weights where they are, with the shapes behind `KEEP_SHAPE`: without them, ONNX Runtime fuses nothing
    that follows a scikit-learn scaler."""
    from onnx import helper

    model = _graph_only(path)
    if not any(node.op_type in KEEP_SHAPE for node in model.graph.node):
        return model
    session = open_inside_out(path)
    found = {value.name: value for value in (*session.get_inputs(), *session.get_outputs())}
    shapes = {name: value.shape for name, value in found.items() if value.shape}
    for node in model.graph.node:
        name, kind = node.output[0], found[node.output[0]].type
        if node.op_type in KEEP_SHAPE and node.input[0] in shapes and name not in shapes and kind in FLOATS:
            shapes[name] = shapes[node.input[0]]
            model.graph.value_info.append(helper.make_tensor_value_info(name, FLOATS[kind], shapes[name]))
    return model


def options_for(path: Path) -> "SessionOptions":
    """Session options, silent, with which a graph given as bytes finds the weights beside `path`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
    return options


def open_inside_out(path: Path) -> "InferenceSession":
    """A session in which every node's output is an output of the graph, and no node is optimized away."""
    import onnx
    import onnxruntime

    model = _graph_only(path)
    outputs = {value.name for value in model.graph.output}
    inner = [name for node in model.graph.node if node.op_type != "Constant" for name in node.output]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner if name and name not in outputs)
    options = options_for(path)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def float_tensors(session: "InferenceSession") -> dict[str, str]:
    """The float tensors among a session's outputs, with ONNX Runtime's name of their type."""
    return {value.name: value.type for value in session.get_outputs() if value.type in FLOATS}


def _graph_only(path: Path) -> "ModelProto":
    import onnx

    return onnx.load(path, load_external_data=False)


def _interface(path: Path) -> object:
    graph = outline(path).graph
    given = {tensor.name for tensor in graph.initializer}  # which older models list among the inputs
    inputs = [(value.name, value.type.SerializeToString()) for value in graph.input if value.name not in given]
    return inputs, [(value.name, value.type.tensor_type.elem_type) for value in graph.output]
