"""Numbers as 8 bits hold them, and graphs in which single nodes see such numbers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fdpipe.sensitivity.spots import Spot

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

MARK = "fdpipe/"
"""How the names of all that is added to a graph begin."""

SWITCH = f"{MARK}spot"
"""The input that says which node sees 8 bits: its place in the graph, or `NONE`."""

NONE = -1

MICROSOFT = "com.microsoft"

Range = tuple[float, float]


def rounded(weight: np.ndarray, axis: int) -> np.ndarray:
    """A weight as symmetric int8 holds it, with one scale for each entry of `axis`, as float32 again."""
    others = tuple(number for number in range(weight.ndim) if number != axis % weight.ndim)
    scale = np.abs(weight).max(axis=others, keepdims=True, initial=0.0).astype(np.float32) / 127
    scale[scale == 0] = 1
    return np.asarray(np.clip(np.rint(weight / scale), -127, 127) * scale, np.float32)


def scale_of(low: float, high: float) -> tuple[np.float32, np.uint8]:
    """Scale and zero point of an activation as uint8 between its extremes; 0 is always held exactly."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32((high - low) / 255)
    if not scale > 0:
        return np.float32(1), np.uint8(0)
    return scale, np.uint8(np.clip(np.rint(-low / scale), 0, 255))


def put_beside(
    model: "ModelProto", spots: Iterable[Spot], ranges: Mapping[str, Range], weights: Mapping[str, np.ndarray]
) -> list[str]:
    """Put a copy that sees 8 bits beside every spot's node, and compare. Returned are the names of two outputs a spot: the
    sum of the squares of what the node gives, and of what its copy gives otherwise. `weights` are the rounded ones."""
    from onnx import ValueInfoProto, helper

    spots = list(spots)
    again = _put_weights(model, weights)
    shared = {name: ranges[name] for spot in spots for name in spot.activations}
    added, other = _rounding(model, shared, MARK)
    outputs: list[str] = []
    for spot in spots:
        prefix = f"{MARK}{spot.number}/"
        copy = _copy(model.graph.node[spot.number], again | other, f"{prefix}eight")
        gap, signal, noise = (f"{prefix}{part}" for part in ("gap", "signal", "noise"))
        added += [
            copy,
            helper.make_node("Sub", [spot.output, copy.output[0]], [gap]),
            helper.make_node("ReduceSumSquare", [spot.output], [signal], keepdims=0),
            helper.make_node("ReduceSumSquare", [gap], [noise], keepdims=0),
        ]
        outputs += [signal, noise]
    model.graph.node.extend(added)
    model.graph.output.extend(ValueInfoProto(name=name) for name in outputs)
    return outputs


def put_switches(
    model: "ModelProto", spots: Iterable[Spot], ranges: Mapping[str, Range], weights: Mapping[str, np.ndarray]
) -> None:
    """Give the graph the input `SWITCH`: the spot whose number it holds sees 8 bits, and every other node what it always
    did. `weights` are the rounded ones."""
    from onnx import TensorProto, helper, numpy_helper

    again = _put_weights(model, weights)
    by_number = {spot.number: spot for spot in spots}
    nodes: list[NodeProto] = []
    for number, node in enumerate(model.graph.node):
        if number not in by_number:
            nodes.append(node)
            continue
        prefix = f"{MARK}{number}/"
        own, asked = f"{prefix}own", f"{prefix}asked"
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(number, np.int64), own))
        rounding, other = _rounding(model, {name: ranges[name] for name in by_number[number].activations}, prefix)
        then = _branch([*rounding, _copy(node, again | other, f"{prefix}eight")])
        otherwise = _branch([_copy(node, {}, f"{prefix}float")])
        outputs = [name for name in node.output if name]
        nodes += [
            helper.make_node("Equal", [SWITCH, own], [asked]),
            helper.make_node("If", [asked], outputs, then_branch=then, else_branch=otherwise),
        ]
    graph = helper.make_graph(nodes, model.graph.name, [], [])
    del model.graph.node[:]
    model.graph.node.extend(graph.node)
    model.graph.input.append(helper.make_tensor_value_info(SWITCH, TensorProto.INT64, []))


def _rounding(model: "ModelProto", ranges: Mapping[str, Range], prefix: str) -> tuple[list["NodeProto"], dict[str, str]]:
    """Nodes that give the activations as 8 bits hold them, and what each is called then; their scales go into the model."""
    from onnx import helper, numpy_helper

    if MICROSOFT not in {one.domain for one in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    nodes, names = [], {}
    for number, (name, (low, high)) in enumerate(ranges.items()):
        scale, zero, eight, again = (f"{prefix}{part}{number}" for part in ("scale", "zero", "bits", "again"))
        for array, called in zip(scale_of(low, high), (scale, zero), strict=True):
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), called))
        nodes += [
            helper.make_node("QuantizeLinear", [name, scale, zero], [eight], domain=MICROSOFT),
            helper.make_node("DequantizeLinear", [eight, scale, zero], [again], domain=MICROSOFT),
        ]
        names[name] = again
    return nodes, names


def _put_weights(model: "ModelProto", weights: Mapping[str, np.ndarray]) -> dict[str, str]:
    """What each rounded weight is called in the model."""
    from onnx import numpy_helper

    names = {name: f"{MARK}weight/{name}" for name in weights}
    model.graph.initializer.extend(numpy_helper.from_array(array, names[name]) for name, array in weights.items())
    return names


def _copy(node: "NodeProto", inputs: Mapping[str, str], prefix: str) -> "NodeProto":
    """The node without its name, some inputs exchanged, and all outputs called otherwise."""
    from onnx import NodeProto

    copy = NodeProto()
    copy.CopyFrom(node)
    copy.name = ""
    copy.input[:] = [inputs.get(name, name) for name in node.input]
    copy.output[:] = [f"{prefix}/{number}" if name else "" for number, name in enumerate(node.output)]
    return copy


def _branch(nodes: Sequence["NodeProto"]) -> "GraphProto":
    """A branch that gives the last node's outputs."""
    from onnx import ValueInfoProto, helper

    outputs = [ValueInfoProto(name=name) for name in nodes[-1].output if name]
    return helper.make_graph(nodes, "branch", [], outputs)
