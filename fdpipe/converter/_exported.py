"""What converters by a library's own exporter share: a graph with names that are words and `rows` first, known to open; and
the features as the original takes them."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fdpipe import graphs
from fdpipe.arrays import Batch, fit, in_batches, rows_in
from fdpipe.artifacts import SourceModel, Task
from fdpipe.errors import ConversionError
from fdpipe.interfaces import Export

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

EXPORTER = ("onnx>=1.17,<1.24", "onnxruntime>=1.20,<1.33")
"""What `finished` needs."""

OPSET = 17
"""The version of ONNX's own operators that exporters are asked for: the newest that all of them, and the quantizers, know."""


BATCH = 256


def words(inputs: Iterable[str], outputs: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of a graph's inputs and outputs as words that no two of them share, `serving_default_x:0` as
    `serving_default_x`."""
    taken: set[str] = set()
    return tuple(_word(name, "input", taken) for name in inputs), tuple(_word(name, "output", taken) for name in outputs)


def _word(name: str, otherwise: str, taken: set[str]) -> str:
    stem = re.sub(r"\W+", "_", re.sub(r":\d+$", "", name)).strip("_") or otherwise
    word = next(
        word for number in range(1, len(taken) + 2) if (word := stem if number == 1 else f"{stem}_{number}") not in taken
    )
    taken.add(word)
    return word


def settle(model: "ModelProto", counted: re.Pattern[str]) -> None:
    """Names that an exporter has counted out (`counted` finds the count in them) are counted again, in the order of their
    use, and constants put into that order: tf2onnx does both otherwise each time."""
    names: dict[str, str] = {}
    constants = {tensor.name for part in _parts(model.graph) for tensor in part.initializer}

    def new(name: str) -> str:
        if name not in names and counted.search(name):
            stem = "constant" if name in constants else counted.sub("", name)
            names[name] = f"{stem}__{len(names)}"
        return names.get(name, name)

    for part in _parts(model.graph):
        for node in part.node:
            node.name = new(node.name)
            node.input[:] = [new(name) for name in node.input]
            node.output[:] = [new(name) for name in node.output]
        for value in (*part.input, *part.output, *part.initializer):
            value.name = new(value.name)
    used = {name: number for number, name in enumerate(names.values())}
    for part in _parts(model.graph):
        ordered = sorted(part.initializer, key=lambda tensor: (used.get(tensor.name, -1), tensor.name))
        kept = [type(tensor).FromString(tensor.SerializeToString()) for tensor in ordered]
        del part.initializer[:]
        part.initializer.extend(kept)


def finished(model: "ModelProto", folder: Path, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> Export:
    """The graph in `folder`, its inputs and outputs under the names that the mappings give them, in the mappings' order.

    `ConversionError` where an output has no axis of rows, or ONNX Runtime does not open the graph.
    """
    model = _with_shapes(model)
    _rename(model.graph, {**inputs, **outputs})
    _order(model.graph, inputs.values(), outputs.values())
    _name_axes(model.graph)
    path = folder / "model.onnx"
    graphs.write(model, path)
    _open(path)
    specs = graphs.specs(path)
    return Export(path=path, task=_task_of({spec.name for spec in specs[1]}), inputs=specs[0], outputs=specs[1])


def _task_of(names: set[str]) -> Task:
    if names in ({"label"}, {"label", "probabilities"}):
        return Task.CLASSIFICATION
    return Task.REGRESSION if names == {"value"} else Task.TENSORS


def _rename(graph: "GraphProto", names: Mapping[str, str]) -> None:
    """The same graph with other names; an inner value that has one of the new names gives way."""
    inner = {name for part in _parts(graph) for node in part.node for name in (*node.input, *node.output)} - set(names)
    inner |= {tensor.name for part in _parts(graph) for tensor in part.initializer} - set(names)
    taken = inner | set(names.values())
    changed = dict(names)
    for name in sorted(inner & set(names.values())):
        changed[name] = next(new for number in range(1, 1000) if (new := f"{name}_inner_{number}") not in taken)
        taken.add(changed[name])
    for part in _parts(graph):
        for value in (*part.input, *part.output, *part.initializer):
            value.name = changed.get(value.name, value.name)
        for node in part.node:
            node.input[:] = [changed.get(name, name) for name in node.input]
            node.output[:] = [changed.get(name, name) for name in node.output]


def _parts(graph: "GraphProto") -> Iterator["GraphProto"]:
    """The graph and those inside its nodes, the bodies of loops and branches."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inside in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _parts(inside)


def _order(graph: "GraphProto", inputs: Iterable[str], outputs: Iterable[str]) -> None:
    for values, names in ((graph.input, inputs), (graph.output, outputs)):
        found = {value.name: value for value in values}
        if lacking := [name for name in names if name not in found]:
            raise ConversionError(f"the exporter left out {lacking[0]!r}: the graph has {', '.join(found)}")
        ordered = [found[name] for name in names]
        del values[:]
        values.extend(ordered)


def _with_shapes(model: "ModelProto") -> "ModelProto":
    """What ONNX itself can infer, where the exporter did not know an output's shape."""
    import onnx

    if all(value.type.tensor_type.HasField("shape") for value in model.graph.output):
        return model
    return onnx.shape_inference.infer_shapes(model)


def _name_axes(graph: "GraphProto") -> None:
    """`rows` for every first axis that is open, `<name>_<axis>` for the others; what exporters noted of inner values goes,
    since it has their words."""
    for part in _parts(graph):
        del part.value_info[:]
    for value in (*graph.input, *graph.output):
        tensor = value.type.tensor_type
        if not tensor.HasField("shape") or not tensor.shape.dim:
            raise ConversionError(f"{value.name!r} has no axis of rows: its first axis must be the rows'")
        for number, axis in enumerate(tensor.shape.dim):
            if not axis.HasField("dim_value"):
                axis.dim_param = f"{value.name}_{number}" if number else "rows"


def _open(path: Path) -> None:
    import onnxruntime

    try:
        onnxruntime.InferenceSession(str(path), graphs.options_for(path), providers=["CPUExecutionProvider"])
    except graphs.library_errors() as error:
        raise ConversionError(f"ONNX Runtime cannot open the export: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """What a library said, short."""
    return " ".join(str(error).split())[:400] or type(error).__name__


def given(model: SourceModel, features: Batch, names: Sequence[str], dtypes: Sequence[str]) -> list[np.ndarray]:
    """The features in the order and the types that the model takes; a single input takes whatever its column is called."""
    try:
        if len(names) == 1 and model.columns:
            columns = [np.asarray(features[spec.name]).reshape(-1, 1) for spec in model.inputs]
            return [fit(np.concatenate(columns, axis=1), dtypes[0], names[0])]
        called = [model.inputs[0].name] if len(names) == 1 == len(model.inputs) else names
        return [fit(features[name], dtype, name) for name, dtype in zip(called, dtypes, strict=True)]
    except KeyError as error:
        wanted = ", ".join(names)
        raise ConversionError(
            f"{error} is no input of the signature: the model takes {wanted}; log it with these names"
        ) from error
    except ValueError as error:
        raise ConversionError(f"the original cannot answer: {one_line(error)}") from error


def in_parts(batch: Batch, ask: Callable[[Batch], Batch]) -> dict[str, np.ndarray]:
    """The original's answers, asked for no more rows at once than fit into memory."""
    return in_batches(batch, BATCH, ask) if rows_in(batch) > BATCH else dict(ask(batch))
