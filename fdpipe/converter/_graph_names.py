"""The names in a graph that an exporter made: ours on inputs, outputs and axes, and nothing that is of one process."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto


def settle(
    model: "ModelProto", inputs: Sequence[str], outputs: Sequence[str | None], axes: Sequence[Mapping[int, str]]
) -> None:
    """Give the graph's inputs and outputs these names, in their order, leave out the outputs called None, and call each
    input's dynamic axes by these words, wherever they return. `ValueError` for a graph that has others or fixes an axis."""
    _name_values(model, inputs, outputs)
    words: dict[str, str] = {}
    for value, wanted in zip(model.graph.input, axes, strict=True):
        for axis, word in wanted.items():
            dimension = value.type.tensor_type.shape.dim[axis]
            if dimension.HasField("dim_value"):
                raise ValueError(f"the model fixes axis {axis} ({word}) of {value.name!r} to {dimension.dim_value}")
            words.setdefault(dimension.dim_param or word, word)
            dimension.dim_param = word
    known = {*words.values()}
    for value in (*model.graph.output, *model.graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param in words:
                dimension.dim_param = words[dimension.dim_param]
    for value in model.graph.output:
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if not dimension.HasField("dim_value") and dimension.dim_param not in known:
                dimension.dim_param = f"{value.name}_{axis}" if axis else "rows"
    _strip(model)


def _name_values(model: "ModelProto", inputs: Sequence[str], outputs: Sequence[str | None]) -> None:
    """An inner value that has one of the names already gets another."""
    graph = model.graph
    if (len(graph.input), len(graph.output)) != (len(inputs), len(outputs)):
        raise ValueError(
            f"the graph has {len(graph.input)} inputs and {len(graph.output)} outputs, not {len(inputs)} and {len(outputs)}"
        )
    answers = [copy.deepcopy(value) for value, name in zip(graph.output, outputs, strict=True) if name is not None]
    del graph.output[:]
    graph.output.extend(answers)
    before = [value.name for value in (*graph.input, *graph.output)]
    after = [*inputs, *(name for name in outputs if name is not None)]
    if len(set(before)) < len(before) or len(set(after)) < len(after):
        raise ValueError(f"the names {', '.join(after)} must be of different values")
    mapping = dict(zip(before, after, strict=True))
    _rename(graph, {name: f"{name}__inner" for name in after if name not in mapping} | mapping)


def _rename(graph: "GraphProto", mapping: Mapping[str, str]) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = mapping.get(value.name, value.name)
    for node in graph.node:
        node.input[:] = [mapping.get(name, name) for name in node.input]
        node.output[:] = [mapping.get(name, name) for name in node.output]
        for inner in _subgraphs(node):
            _rename(inner, mapping)


def _subgraphs(node: "NodeProto") -> Iterator["GraphProto"]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _strip(model: "ModelProto") -> None:
    """Remove what is for reading only: stack traces, names of nodes and modules, versions."""
    for name in ("producer_name", "producer_version", "doc_string", "domain", "model_version", "metadata_props"):
        model.ClearField(name)
    model.graph.name = "model"
    _strip_graph(model.graph)
    for function in model.functions:
        function.ClearField("metadata_props")
        for node in function.node:
            _strip_node(node)
        for value in function.value_info:
            value.ClearField("metadata_props")


def _strip_graph(graph: "GraphProto") -> None:
    graph.ClearField("metadata_props")
    graph.ClearField("doc_string")
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.ClearField("metadata_props")
        value.ClearField("doc_string")
    for node in graph.node:
        _strip_node(node)


def _strip_node(node: "NodeProto") -> None:
    for name in ("name", "doc_string", "metadata_props"):
        node.ClearField(name)
    for inner in _subgraphs(node):
        _strip_graph(inner)
