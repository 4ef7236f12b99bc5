"""JAX and Flax: an MLflow PythonModel that says which function it is, exported by jax2onnx.

MLflow has no flavour for JAX: what teams register is a `PythonModel` that holds the parameters. It must have a method
`jax_function()`, which takes nothing and gives a function (or a Flax nnx module) of the signature's arrays, in order, that
answers an array or a container of arrays and can be jitted:

    class Classifier(mlflow.pyfunc.PythonModel):
        def __init__(self, parameters):
            self.parameters = parameters

        def jax_function(self):
            return lambda image: Network().apply(self.parameters, image)

        def predict(self, context, model_input, params=None):
            return np.asarray(self.jax_function()(model_input))

Checkpoints, as Orbax's, are read in its `load_context`, as MLflow has it.
"""

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fdpipe import graphs, pyfunc
from fdpipe.arrays import Batch, in_batches
from fdpipe.artifacts import Precision, SourceModel, Task, TensorSpec
from fdpipe.converter._graph_names import settle
from fdpipe.converter._leaves import name_of
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.extras import require
from fdpipe.interfaces import Export
from fdpipe.mlmodel import flavour_settings, requirements_of

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 17

LIBRARY = re.compile(r"(jax|jaxlib|flax)\b(?!-)", re.IGNORECASE)
"""A requirement that makes it a model for this converter."""

METHOD = "jax_function"

LENGTHS = (7, 32, 224)
"""Sizes tried for an axis that the signature leaves open, other than the rows."""

BATCH = 256


@dataclass(frozen=True, kw_only=True)
class Function:
    """The model's function, its inputs, and how its answers are called; None: not by row, and left out."""

    call: Callable[..., Any]
    specs: tuple[TensorSpec, ...]
    outputs: tuple[str | None, ...]


@dataclass(frozen=True, kw_only=True)
class Jax:
    """No settings. Whole numbers are int32 in the graph, as JAX has them."""

    kind: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ("jax", "flax", "jax2onnx", "onnx")
    exporter: ClassVar[tuple[str, ...]] = (
        "jax2onnx>=0.17,<0.18", "onnx>=1.17,<1.24", "onnxruntime>=1.20,<1.33", "mlflow-skinny>=2.9,<4", "pandas>=2,<4",
    )  # fmt: skip
    extra: ClassVar[str] = "jax"

    def accepts(self, model: SourceModel) -> bool:
        """A PythonModel whose requirements name jax or flax."""
        loader = flavour_settings(model.path, "python_function").get("loader_module")
        wanted = model.flavour == "python_function" and loader == "mlflow.pyfunc.model"
        return wanted and any(LIBRARY.match(line) for line in requirements_of(model.path))

    def risk(self, model: SourceModel) -> str:
        """MLflow unpickles a PythonModel, or runs the file that makes it."""
        settings = flavour_settings(model.path, "python_function")
        return "a PythonModel made by its own code" if settings.get("model_code_path") else "a pickled PythonModel"

    def load(self, model: SourceModel) -> Function:
        """The function, asked for shapes to see what it answers."""
        specs = _specs(model)
        require("jax", extra="jax")
        original = pyfunc.load(model).unwrap_python_model()
        if not callable(getattr(original, METHOD, None)):
            raise ConversionError(
                f"{type(original).__name__} of {model.ref.name} has no method {METHOD}(): add it, so that it gives the function"
                " of the signature's arrays, or serve the model as it is with runtime=pyfunc"
            )
        with _told(f"{METHOD}() of {model.ref.name} failed"):
            call = getattr(original, METHOD)()
        return Function(call=call, specs=specs, outputs=_outputs(model, call, specs))

    def export(self, model: SourceModel, original: Function, folder: Path, precision: Precision) -> Export:
        """The function's answers, called `output` where there is one, or else by their keys or numbers."""
        path = folder / "model.onnx"
        try:
            made = _exported(original, double=precision is Precision.FLOAT64)
            graphs.write(made, path)
            with _told("ONNX Runtime does not open what jax2onnx made"):
                _open(path)
        except ConversionError as error:
            if precision is Precision.FLOAT64:
                raise NotApplicable(str(error)) from error
            raise
        inputs, outputs = graphs.specs(path)
        return Export(path=path, task=Task.TENSORS, inputs=inputs, outputs=outputs)

    def predict(self, model: SourceModel, original: Function, features: Batch) -> dict[str, np.ndarray]:
        """The jitted function's answers."""
        import jax

        def answer(batch: Batch) -> dict[str, np.ndarray]:
            arrays = [np.asarray(batch[spec.name], _dtype(spec.dtype)) for spec in original.specs]
            leaves = jax.tree.leaves(jitted(*arrays))
            pairs = zip(original.outputs, leaves, strict=True)
            return {name: np.asarray(leaf) for name, leaf in pairs if name is not None}

        jitted = jax.jit(lambda *arrays: original.call(*arrays))
        with _told("the original cannot answer"):
            return in_batches({spec.name: _stacked(model, spec, features) for spec in original.specs}, BATCH, answer)


def _specs(model: SourceModel) -> tuple[TensorSpec, ...]:
    """The function's inputs: the signature's tensors, or all columns side by side."""
    if not model.inputs:
        raise ConversionError(f"{model.ref.name} has no signature: log it with signature=infer_signature(features, answers)")
    if text := next((spec for spec in model.inputs if spec.dtype == "string"), None):
        raise ConversionError(f"{text.name!r} of {model.ref.name} is of strings: JAX takes numbers")
    if model.columns:
        return (TensorSpec(name="input", dtype="float32", shape=("rows", len(model.inputs))),)
    return model.inputs


def _stacked(model: SourceModel, spec: TensorSpec, features: Batch) -> np.ndarray:
    if not model.columns:
        return np.asarray(features[spec.name])
    return np.stack([np.asarray(features[column.name], np.float32).reshape(-1) for column in model.inputs], axis=1)


def _dtype(name: str) -> np.dtype[Any]:
    """JAX has no type of 64 bits unless it is told to."""
    return np.dtype({"float64": "float32", "int64": "int32", "uint64": "uint32"}.get(name, name))


def _outputs(model: SourceModel, call: Callable[..., Any], specs: Sequence[TensorSpec]) -> tuple[str | None, ...]:
    """Each answer's name, in the order of the leaves; None for one whose first axis is not the rows."""
    for length in LENGTHS:
        try:
            with _told("it cannot answer what its signature allows"):
                few, many = (_shapes(call, specs, rows, length) for rows in (3, 6))
        except ConversionError as error:
            failure = error
            continue
        names = [name if few[name][:1] == (3,) and many.get(name, ())[:1] == (6,) else None for name in few]
        if not any(names):
            raise ConversionError(f"no answer of {model.ref.name} has the rows as its first axis: {few}")
        taken = {spec.name for spec in model.inputs}
        return tuple(f"output_{name}" if name in taken else name for name in names)
    raise failure


def _shapes(call: Callable[..., Any], specs: Sequence[TensorSpec], rows: int, length: int) -> dict[str, tuple[int, ...]]:
    import jax

    inner = [tuple(axis if isinstance(axis, int) else length for axis in spec.shape[1:]) for spec in specs]
    given = [jax.ShapeDtypeStruct((rows, *shape), _dtype(spec.dtype)) for spec, shape in zip(specs, inner, strict=True)]
    found = jax.eval_shape(lambda *arrays: call(*arrays), *given)
    return {name_of(path): leaf.shape for path, leaf in jax.tree_util.tree_flatten_with_path(found)[0]}


def _exported(original: Function, *, double: bool) -> "ModelProto":
    """jax2onnx's model, in our names. Open axes of two inputs are two symbols or, where that cannot be computed, one for
    those in the same place."""
    import jax

    exporter = require("jax2onnx", extra="jax")
    failures = []
    for alike in (False, True):
        shapes = [_symbols(number, spec, alike=alike) for number, spec in enumerate(original.specs)]
        pairs = zip(shapes, original.specs, strict=True)
        given = [jax.ShapeDtypeStruct(shape, _dtype(spec.dtype)) for shape, spec in pairs]
        try:
            with _told("jax2onnx cannot export this function"):
                made = exporter.to_onnx(original.call, given, model_name="model", opset=OPSET, enable_double_precision=double)
                words = [{axis: word for axis, word in enumerate(one.shape) if isinstance(word, str)} for one in original.specs]
                settle(made, [spec.name for spec in original.specs], original.outputs, words)
            return made
        except ConversionError as error:
            failures.append(error)
    raise failures[0]


def _symbols(number: int, spec: TensorSpec, *, alike: bool) -> tuple[int | str, ...]:
    """`rows`, and a symbol for each other axis that the signature leaves open: its word may be none to JAX."""
    inner = enumerate(spec.shape[1:], start=1)
    return ("rows", *(axis if isinstance(axis, int) else f"a{0 if alike else number}x{place}" for place, axis in inner))


def _open(path: Path) -> None:
    import onnxruntime

    onnxruntime.InferenceSession(path, graphs.options_for(path), providers=["CPUExecutionProvider"])


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn whatever a function of the user's, JAX, jax2onnx and ONNX Runtime raise into a `ConversionError`; they warn and log
    of themselves only, meanwhile."""
    loggers = [logging.getLogger(name) for name in ("jax", "jax2onnx", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        raise ConversionError(f"{what}: {' '.join(str(error).split())[:400] or type(error).__name__}") from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
