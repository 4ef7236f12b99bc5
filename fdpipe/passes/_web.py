"""The nodes of an ONNX graph by what makes and reads a tensor, and replacing some of them."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""


class Web:
    """A model's nodes, who makes a tensor and who reads it. Shapes are those that are written down in the model."""

    def __init__(self, model: "ModelProto") -> None:
        self.graph = model.graph
        self.model = model
        self.makers = {name: node for node in self.graph.node for name in node.output if name}
        self.readers: dict[str, list[NodeProto]] = {}
        for node in self.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.tensors = {tensor.name: tensor for tensor in self.graph.initializer}
        self.outputs = {value.name for value in self.graph.output}
        values = (*self.graph.value_info, *self.graph.input, *self.graph.output)
        self.shapes = {
            value.name: [axis.dim_value if axis.HasField("dim_value") else 0 for axis in value.type.tensor_type.shape.dim]
            for value in values
            if value.type.HasField("tensor_type") and value.type.tensor_type.HasField("shape")
        }

    def all(self, operator: str) -> "list[NodeProto]":
        """Every node with this operator, in order."""
        return [node for node in self.graph.node if node.op_type == operator]

    def maker(self, name: str) -> "NodeProto | None":
        """The node that makes a tensor; None for inputs and weights."""
        return self.makers.get(name)

    def only_reader(self, name: str) -> "NodeProto | None":
        """The one node that reads a tensor; None where there are several, or where it is an answer."""
        found = self.readers.get(name, [])
        return found[0] if len(found) == 1 and name not in self.outputs else None

    def rank(self, name: str) -> int | None:
        """The number of a tensor's axes, where it is known."""
        return len(self.shapes[name]) if name in self.shapes else None

    def axis(self, name: str, position: int) -> int:
        """The length of an axis; 0 where it is symbolic or unknown."""
        shape = self.shapes.get(name, [])
        return shape[position] if shape else 0

    def numbers(self, node: "NodeProto", attribute: str) -> list[int]:
        """An attribute that is a list of whole numbers; empty where it is not set."""
        return next((list(one.ints) for one in node.attribute if one.name == attribute), [])

    def number(self, node: "NodeProto", attribute: str, default: int) -> int:
        """An attribute that is a whole number."""
        return next((one.i for one in node.attribute if one.name == attribute), default)

    def real(self, node: "NodeProto", attribute: str, default: float) -> float:
        """An attribute that is a float."""
        return next((one.f for one in node.attribute if one.name == attribute), default)

    def is_constant(self, name: str) -> bool:
        """Whether it is a weight."""
        return name in self.tensors

    def constant(self, name: str) -> float | None:
        """The value of a weight that is one float."""
        from onnx import numpy_helper

        tensor = self.tensors.get(name)
        if tensor is None or int(np.prod(tensor.dims)) != 1:
            return None
        return float(numpy_helper.to_array(tensor).reshape(()))

    def array(self, name: str) -> np.ndarray | None:
        """A weight's numbers."""
        from onnx import numpy_helper

        return numpy_helper.to_array(self.tensors[name]) if name in self.tensors else None

    def weight(self, name: str, numbers: np.ndarray) -> str:
        """Add a weight; its name."""
        from onnx import numpy_helper

        self.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(numbers), name))
        return name

    def unscaled(self, name: str) -> tuple[str, float]:
        """The tensor before a product with, or a division by, one constant, and that factor; else itself and 1."""
        node = self.maker(name)
        if node is None or node.op_type not in ("Mul", "Div"):
            return name, 1.0
        values = [self.constant(one) for one in node.input]
        if node.op_type == "Mul" and values[0] is not None:
            return node.input[1], values[0]
        if values[1]:
            return node.input[0], values[1] if node.op_type == "Mul" else 1 / values[1]
        return name, 1.0

    def scaled_product(self, name: str) -> "tuple[NodeProto, float] | None":
        """The MatMul that a tensor is, or is a multiple of, and the factor; None for others."""
        inner, factor = self.unscaled(name)
        node = self.maker(inner)
        return (node, factor) if node is not None and node.op_type == "MatMul" else None

    def adds_constant(self, node: "NodeProto", value: float) -> bool:
        """Whether an Add adds this one number."""
        return value in [self.constant(name) for name in node.input]

    def replace(self, old: "NodeProto", operator: str, inputs: list[str], domain: str = "", **attributes: float) -> None:
        """Another node in the place of one, with its outputs; where it stood, its inputs are there already."""
        from onnx import helper

        made = helper.make_node(operator, inputs, list(old.output), name=old.name, domain=domain, **attributes)
        old.CopyFrom(made)

    def insert_before(
        self, node: "NodeProto", operator: str, inputs: list[str], output: str, domain: str = "", **attributes: float
    ) -> None:
        """A new node that stands just before another."""
        from onnx import helper

        position = next(place for place, one in enumerate(self.graph.node) if one is node or one.output == node.output)
        made = helper.make_node(
            operator, inputs, [output], name=f"{node.name}_before" if node.name else "", domain=domain, **attributes
        )
        self.graph.node.insert(position, made)

    def settle(self) -> None:
        """Drop the nodes, weights and notes of shapes that nothing uses any more, and name the operator sets in use."""
        from onnx import helper

        wanted = set(self.outputs)
        kept = []
        for node in reversed(self.graph.node):
            if wanted & set(node.output):
                kept.append(node)
                wanted |= set(node.input) | _inside(node)
        kept.reverse()
        nodes = [type(node).FromString(node.SerializeToString()) for node in kept]
        del self.graph.node[:]
        self.graph.node.extend(nodes)
        tensors = [tensor for tensor in self.graph.initializer if tensor.name not in wanted]
        for tensor in tensors:
            self.graph.initializer.remove(tensor)
        made = {name for node in nodes for name in node.output}
        notes = [value for value in self.graph.value_info if value.name in made]
        del self.graph.value_info[:]
        self.graph.value_info.extend(notes)
        known = {one.domain for one in self.model.opset_import}
        for domain in sorted({node.domain for node in nodes} - known - {""}):
            self.model.opset_import.append(helper.make_opsetid(domain, 1))


def _inside(node: "NodeProto") -> set[str]:
    """What a node's inner graphs read."""
    graphs = [one.g for one in node.attribute if one.HasField("g")] + [graph for one in node.attribute for graph in one.graphs]
    return {name for graph in graphs for inner in graph.node for name in {*inner.input, *_inside(inner)}}
