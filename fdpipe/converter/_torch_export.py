"""A torch module → one ONNX file, by torch.onnx."""

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fdpipe import graphs
from fdpipe.converter._graph_names import settle
from fdpipe.errors import ConversionError

if TYPE_CHECKING:
    import torch
    from onnx import ModelProto

OPSET = 18
"""The one that torch's translations are written in: any other is made from it by onnx's version converter."""

ROUGHLY = 1e-2
"""A graph whose values are further off than this is a wrong one; what is closer is for the certificate."""

Axes = Mapping[str, Mapping[int, str]]
"""The words of the dynamic axes, by input and position."""

_LOG = logging.getLogger(__name__)


def export(
    module: "torch.nn.Module",
    inputs: Mapping[str, "torch.Tensor"],
    outputs: Sequence[str | None],
    axes: Axes,
    path: Path,
    *,
    names: Sequence[str] = (),
) -> None:
    """Write the module, which is in eval mode and is called with the inputs as keywords, to `path`.

    The graph's inputs are called like the keywords, or have the `names`, in their order; the outputs are the module's,
    flat, and what is called None is left out. Every dynamic axis must have two entries or more in `inputs`, or torch takes
    it for fixed. Both of torch's exporters are tried; the file's producer is the one that it is from. `ConversionError` with
    what torch said, for an axis that the module fixes, and for a graph that ONNX Runtime cannot open or that answers twice
    as many rows otherwise.
    """
    failures: dict[str, Exception] = {}
    with _quiet():
        for name, attempt in _exporters(module).items():
            try:
                made = attempt(module, inputs, len(outputs), axes, path.parent)
                if (found := [value.name for value in made.graph.input]) != list(inputs):
                    raise ValueError(f"its inputs are {', '.join(found) or 'none'}, not {', '.join(inputs)}")
                settle(made, names or list(inputs), outputs, [axes.get(keyword, {}) for keyword in inputs])
                made.producer_name = name
                graphs.write(made, path)
                _check(module, inputs, outputs, axes, path)
            except errors() as error:
                _LOG.debug("%s failed", name, exc_info=True)
                failures[name] = error
                for left in (path, path.with_name(f"{path.name}.data")):
                    left.unlink(missing_ok=True)
            else:
                _LOG.info("exported by %s", name)
                return
    told = "; ".join(f"by {name}: {line(error)}" for name, error in failures.items())
    raise ConversionError(f"torch.onnx cannot export this {title(module)}: {told}") from next(iter(failures.values()))


def title(module: "torch.nn.Module") -> str:
    """The name of its class, also where that has been compiled away."""
    return str(getattr(module, "original_name", None) or type(module).__name__)


def _exporters(module: "torch.nn.Module") -> dict[str, Callable[..., "ModelProto"]]:
    """What suits the module, the best first.

    torch.export makes a loop of a recurrent layer, takes its length for fixed in the answers' shapes, and makes something
    else of it the second time in one process; TorchScript has an operator for it.
    """
    import torch

    if isinstance(module, torch.jit.ScriptModule):
        return {"TorchScript": _by_torchscript}
    if any(isinstance(part, torch.nn.RNNBase) for part in module.modules()):
        return {"TorchScript": _by_torchscript, "torch.export": _by_dynamo}
    return {"torch.export": _by_dynamo, "TorchScript": _by_torchscript}


def _by_dynamo(
    module: "torch.nn.Module", inputs: Mapping[str, "torch.Tensor"], outputs: int, axes: Axes, folder: Path
) -> "ModelProto":
    import torch

    program = torch.onnx.export(
        module,
        (),
        kwargs=dict(inputs),
        dynamic_shapes={name: dict(axes.get(name, {})) for name in inputs},
        output_names=[_temporary(number) for number in range(outputs)],
        opset_version=OPSET,
        dynamo=True,
        optimize=True,
        verbose=False,
    )
    return program.model_proto


def _by_torchscript(
    module: "torch.nn.Module", inputs: Mapping[str, "torch.Tensor"], outputs: int, axes: Axes, folder: Path
) -> "ModelProto":
    import torch

    with tempfile.TemporaryDirectory(dir=folder) as scratch, torch.no_grad(), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", torch.jit.TracerWarning)
        path = Path(scratch) / "model.onnx"
        torch.onnx.export(
            module,
            tuple(inputs.values()) if isinstance(module, torch.jit.ScriptModule) else (dict(inputs),),
            path,
            input_names=list(inputs),
            output_names=[_temporary(number) for number in range(outputs)],
            dynamic_axes={name: dict(words) for name, words in axes.items()},
            opset_version=OPSET,
            dynamo=False,
        )
        own = Path(torch.__file__).parent
        traced = [one for one in told if one.category is torch.jit.TracerWarning and own not in Path(one.filename).parents]
        if traced:
            raise ValueError(f"a trace would build in what depends on the input: {traced[0].message}")
        return graphs.read(path)


def _temporary(number: int) -> str:
    """An output's name that no inner value has."""
    return f"__output_{number}"


def _check(
    module: "torch.nn.Module", inputs: Mapping[str, "torch.Tensor"], outputs: Sequence[str | None], axes: Axes, path: Path
) -> None:
    """`ValueError` where ONNX Runtime does not answer as the module does when every dynamic axis is twice as long."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, graphs.options_for(path), providers=["CPUExecutionProvider"])
    twice = {name: doubled(tensor, axes.get(name, {})) for name, tensor in inputs.items()}
    try:
        found = ask(module, twice)
    except errors():  # as where there are no more positions
        twice = {name: doubled(tensor, [0]) for name, tensor in inputs.items()}
        found = ask(module, twice)
    expected = [tensor for tensor, name in zip(found, outputs, strict=True) if name is not None]
    given = {value.name: tensor.numpy() for value, tensor in zip(session.get_inputs(), twice.values(), strict=True)}
    rows = len(next(iter(twice.values())))
    for value, ours, theirs in zip(session.get_outputs(), expected, session.run(None, given), strict=True):
        if tuple(ours.shape) != theirs.shape:
            raise ValueError(f"{value.name} has the shape {theirs.shape} where the module answers {tuple(ours.shape)}")
        if theirs.shape[:1] != (rows,):
            raise ValueError(f"{value.name} has the shape {theirs.shape} for {rows} rows: its first axis must be the rows")
        for axis, size in enumerate(value.shape):
            if isinstance(size, int) and size != theirs.shape[axis]:
                raise ValueError(f"axis {axis} of {value.name} is said to be {size}, and is {theirs.shape[axis]}")
        reference = ours.double().numpy()
        if not np.allclose(
            reference, theirs, rtol=ROUGHLY, atol=ROUGHLY * (np.abs(reference).max(initial=0) + 1), equal_nan=True
        ):
            raise ValueError(f"{value.name} has other values than the module's when there are more rows")


def doubled(tensor: "torch.Tensor", axes: Iterable[int]) -> "torch.Tensor":
    """The same twice, along each of the axes."""
    import torch

    for axis in axes:
        tensor = torch.cat([tensor, tensor], dim=axis)
    return tensor


def ask(module: "torch.nn.Module", inputs: Mapping[str, "torch.Tensor"]) -> list["torch.Tensor"]:
    """What the module answers, flat."""
    import torch

    with torch.no_grad():
        return flat(module(*inputs.values()) if isinstance(module, torch.jit.ScriptModule) else module(**inputs))


def flat(answers: Any) -> list[Any]:  # noqa: ANN401 - whatever a module answers
    """The tensors in what a module answers, in the order in which torch.onnx makes outputs of them."""
    import torch

    return [leaf for leaf in torch.utils._pytree.tree_leaves(answers) if isinstance(leaf, torch.Tensor)]


@contextmanager
def _quiet() -> Iterator[None]:
    """torch warns and logs while it exports, of itself mostly."""
    loggers = [logging.getLogger(name) for name in ("torch", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def errors() -> tuple[type[Exception], ...]:
    """What a module, torch, onnxscript and onnxruntime raise: there is no base of theirs."""
    return (*graphs.library_errors(), NameError, ImportError, OSError, RecursionError)


def line(error: Any) -> str:  # noqa: ANN401 - an exception, and whatever is its cause
    """The words of what happened first, without torch's advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split("\n\n")[0].split())[:300] or type(error).__name__
