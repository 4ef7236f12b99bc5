"""A float model as the search for its losses sees it: its spots, what flows through them, and what they multiply."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fdpipe import graphs
from fdpipe.arrays import Batch
from fdpipe.sensitivity.eight_bits import MARK, Range, rounded
from fdpipe.sensitivity.spots import CONVOLUTIONS, PRODUCTS, Spot, find

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto
    from onnxruntime import InferenceSession

OPSET = 11
"""The version of ONNX's operators that the added nodes need: older models are brought to it."""

UNBOUNDED = 1e18
"""A tensor with a magnitude above it holds no activations, but a mask; its squares would overflow."""

FLOAT32 = "tensor(float)"


@dataclass(frozen=True, kw_only=True)
class FloatModel:
    """The model at `path`: its spots, the extremes of what flows into them, those of their weights that are computed from
    others, the multiplications of each spot in a typical call by its output, and how many nodes such a call runs."""

    path: Path
    spots: Sequence[Spot]
    ranges: Mapping[str, Range]
    computed: Mapping[str, np.ndarray]
    work: Mapping[str, int]
    nodes: int

    @property
    def work_of_a_call(self) -> int:
        """The multiplications of all spots."""
        return sum(self.work.values())

    def rounded_weights(self, spots: Iterable[Spot]) -> dict[str, np.ndarray]:
        """The spots' weights as 8 bits hold them, by name."""
        from onnx import numpy_helper

        wanted = {name: axis for spot in spots for name, axis in spot.weights.items()}
        stored = {tensor.name: tensor for tensor in read(self.path).graph.initializer if tensor.name in wanted}
        arrays = {name: numpy_helper.to_array(tensor, str(self.path.parent)) for name, tensor in stored.items()}
        arrays |= self.computed
        return {name: rounded(arrays[name], axis) for name, axis in wanted.items()}

    def parts(self, spots: Iterable[Spot], largest_bytes: int) -> list[list[Spot]]:
        """The spots in groups whose weights take no more than that, except where a single one does."""
        sizes = {tensor.name: 4 * prod(tensor.dims) for tensor in read(self.path).graph.initializer}
        sizes |= {name: array.nbytes for name, array in self.computed.items()}
        groups: list[list[Spot]] = []
        room = 0
        for spot in spots:
            size = sum(sizes[name] for name in spot.weights)
            if not groups or size > room:
                groups.append([])
                room = largest_bytes
            groups[-1].append(spot)
            room -= size
        return groups


def look(path: Path, batches: Iterable[Batch]) -> FloatModel:
    """Run the model on every batch, with the extremes taken inside it: no activation leaves it."""
    from onnx import ValueInfoProto

    model = read(path)
    nodes, spots = len(model.graph.node), find(model, _floats(path, model))
    activations = list(dict.fromkeys(name for spot in spots for name in spot.activations))
    stored = {tensor.name for tensor in model.graph.initializer}
    weights = [name for name in dict.fromkeys(name for spot in spots for name in spot.weights) if name not in stored]
    ends, shapes = _put_extremes(model, activations), _put_shapes(model, spots)
    there = {value.name for value in model.graph.output}
    model.graph.output.extend(ValueInfoProto(name=name) for name in (*ends, *shapes, *weights) if name not in there)
    session = opened(path, model.SerializeToString())
    lows, highs = np.zeros(len(activations)), np.zeros(len(activations))
    work = dict.fromkeys((spot.output for spot in spots), 0)
    computed: dict[str, np.ndarray] = {}
    calls = 0
    for batch in batches if spots else ():
        calls += 1
        found = ask(session, [*ends, *shapes, *weights], batch)
        extremes = np.array([float(found[name]) for name in ends]).reshape(-1, 2)
        lows, highs = np.minimum(lows, extremes[:, 0]), np.maximum(highs, extremes[:, 1])
        computed = {name: found[name] for name in weights}
        for spot in spots:
            work[spot.output] += _multiplications(model.graph.node[spot.number], [found[name] for name in _shapes(spot)])
    ranges = {name: (float(low), float(high)) for name, low, high in zip(activations, lows, highs, strict=True)}
    bounded = {name for name, (low, high) in ranges.items() if max(-low, high) < UNBOUNDED}
    kept = [spot for spot in spots if bounded.issuperset(spot.activations)]
    work = {name: made // max(1, calls) for name, made in work.items()}
    return FloatModel(path=path, spots=kept, ranges=ranges, computed=computed, work=work, nodes=nodes)


def read(path: Path) -> "ModelProto":
    """The graph, large weights where they are."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    return graphs.raised(model, OPSET)


def opened(path: Path, graph: bytes) -> "InferenceSession":
    """A session of a changed graph, whose weights may lie beside `path`; nothing is optimized."""
    import onnxruntime

    options = graphs.options_for(path)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def ask(session: "InferenceSession", outputs: Sequence[str], batch: Batch) -> dict[str, np.ndarray]:
    """These outputs, by name; asked for nothing, a session would give everything."""
    return dict(zip(outputs, session.run(list(outputs), dict(batch)), strict=True)) if outputs else {}


def _floats(path: Path, model: "ModelProto") -> set[str]:
    """The float32 tensors: ONNX Runtime knows those that are computed, whatever the operators."""
    session = graphs.open_inside_out(path)
    computed = {value.name for value in (*session.get_inputs(), *session.get_outputs()) if value.type == FLOAT32}
    return computed | {tensor.name for tensor in model.graph.initializer if tensor.data_type == 1}


# --- what is measured inside ------------------------------------------------------------------------------------------


def _put_extremes(model: "ModelProto", names: Iterable[str]) -> list[str]:
    """Outputs with the smallest and the largest finite value of each tensor, 0 counted in."""
    from onnx import helper, numpy_helper

    infinity, nothing = f"{MARK}infinity", f"{MARK}nothing"
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(np.inf, np.float32), infinity))
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(0, np.float32), nothing))
    outputs: list[str] = []
    for number, name in enumerate(names):
        size, finite, kept, low, high = (f"{MARK}{part}{number}" for part in ("size", "finite", "kept", "low", "high"))
        model.graph.node.extend(
            [
                helper.make_node("Abs", [name], [size]),
                helper.make_node("Less", [size, infinity], [finite]),
                helper.make_node("Where", [finite, name, nothing], [kept]),
                helper.make_node("ReduceMin", [kept], [low], keepdims=0),
                helper.make_node("ReduceMax", [kept], [high], keepdims=0),
            ]
        )
        outputs += [low, high]
    return outputs


def _put_shapes(model: "ModelProto", spots: Iterable[Spot]) -> list[str]:
    """Outputs with the shapes of both factors and of the product, for each spot that multiplies."""
    from onnx import helper

    outputs: list[str] = []
    for spot in spots:
        tensors = (*model.graph.node[spot.number].input[:2], spot.output)
        for name, output in zip(tensors, _shapes(spot), strict=False):
            model.graph.node.append(helper.make_node("Shape", [name], [output]))
            outputs.append(output)
    return outputs


def _shapes(spot: Spot) -> tuple[str, ...]:
    """What the outputs are called that hold the shapes of both factors and of the product."""
    return tuple(f"{MARK}{spot.number}/{part}" for part in ("left", "right", "product")) if spot.operator in PRODUCTS else ()


def _multiplications(node: "NodeProto", shapes: Sequence[np.ndarray]) -> int:
    """How many a node makes, from the shapes of both factors and of its product; 0 for one that does not multiply."""
    if not shapes:
        return 0
    left, right, product = ([int(size) for size in shape] for shape in shapes)
    if node.op_type == "ConvTranspose":
        return prod(left) * prod(right[1:])
    if node.op_type in CONVOLUTIONS:
        return prod(product) * prod(right[1:])
    if node.op_type == "Attention":
        return prod(left) * right[-1]
    turned = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return prod(product) * left[-2 if turned else -1]
