"""The nodes of a float graph that a quantizer would change."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

PRODUCTS = ("MatMul", "Gemm", "Conv", "ConvTranspose", "FusedMatMul", "FusedGemm", "FusedConv", "Attention")
"""Operators that multiply their first two inputs, ONNX Runtime's fused ones among them."""

TABLES = ("Gather",)
"""Operators that pick rows of their first input, which is quantized where it is constant."""

BETWEEN = ("Add", "Mul", "Concat", "GlobalAveragePool", "AveragePool")
"""Operators that a quantizer takes along in a convolutional network, between activations only."""

CONVOLUTIONS = ("Conv", "ConvTranspose", "FusedConv")


@dataclass(frozen=True, kw_only=True)
class Spot:
    """One such node: its place in the graph, its first output's name, its inputs that are computed, and its constant ones
    with the axis that has a scale for each entry."""

    number: int
    output: str
    operator: str
    activations: tuple[str, ...]
    weights: Mapping[str, int]


def find(model: "ModelProto", floats: Container[str]) -> list[Spot]:
    """In the order of the graph, subgraphs left out; `floats` names its float32 tensors, constants among them."""
    fixed, found = constants(model), []
    convolves = any(node.op_type in CONVOLUTIONS for node in model.graph.node)
    for number, node in enumerate(model.graph.node):
        inputs = list(dict.fromkeys(name for name in _quantized_inputs(node, convolves) if name in floats))
        weights = {name: _axis(node, name) for name in inputs if name in fixed}
        activations = tuple(name for name in inputs if name not in fixed)
        wanted = weights if node.op_type in TABLES else activations
        if wanted and not (node.op_type in BETWEEN and weights) and node.output[0] in floats:
            found.append(
                Spot(
                    number=number, output=node.output[0], operator=node.op_type, activations=activations, weights=weights
                )
            )  # fmt: skip
    return found


def untouched(floats: Path, quantized: Path) -> set[str]:
    """The nodes of an ONNX model, by their first outputs, that another made from it holds unchanged: the same operator on the
    same inputs. To leave these in float changes nothing."""
    import onnx

    before, after = (onnx.load(path, load_external_data=False).graph.node for path in (floats, quantized))
    kept = {(node.op_type, *node.input, node.output[0]) for node in after}
    return {node.output[0] for node in before if (node.op_type, *node.input, node.output[0]) in kept}


def constants(model: "ModelProto") -> set[str]:
    """The tensors that no input of the graph changes: weights, and what is computed from nothing else."""
    fixed = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" or (_is_simple(node) and all(name in fixed for name in node.input if name)):
            fixed.update(node.output)
    return fixed


def _is_simple(node: "NodeProto") -> bool:
    """Whether its outputs depend on its inputs only."""
    plain = not any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)
    return plain and any(node.input) and not node.op_type.startswith(("Random", "Multinomial", "Bernoulli"))


def _quantized_inputs(node: "NodeProto", convolves: bool) -> Sequence[str]:
    """Its inputs that would be quantized; a bias is none of them, for it has 32 bits."""
    if node.op_type in PRODUCTS:
        return list(node.input[:2])
    if node.op_type in TABLES:
        return list(node.input[:1])
    return list(node.input) if convolves and node.op_type in BETWEEN else ()


def _axis(node: "NodeProto", name: str) -> int:
    """The axis of a weight along which the node's outputs lie."""
    first = name == node.input[0]
    flags = {attribute.name: attribute.i for attribute in node.attribute}
    if node.op_type in TABLES or node.op_type in ("Conv", "FusedConv"):
        return 0
    if node.op_type == "ConvTranspose":
        return 1
    turned = flags.get("transA" if first else "transB", 0)
    return (-1 if turned else -2) if first else (-2 if turned else -1)
