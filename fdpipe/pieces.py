"""An ONNX graph cut into pieces that run one after the other, so that few tensors are held while all of them are seen."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fdpipe import graphs
from fdpipe.arrays import Batch

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto, TypeProto
    from onnxruntime import InferenceSession

NODES = 12
"""In a piece. Fewer hold fewer tensors at once; each piece costs a call."""

SHARED_BYTES = 2**16
"""Weights from this size on are given to the sessions as they are: written into a graph, they are copied three times."""

SAME_VALUES = ("Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Operators whose output holds the values of their first input, in another order or shape."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Some nodes as a session: what goes in, what comes out, the float tensors of that which are to be looked at, and the
    tensors that later pieces need."""

    session: "InferenceSession"
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    floats: tuple[str, ...]
    needed: frozenset[str]

    def run(self, held: Mapping[str, Any]) -> dict[str, Any]:
        """Its outputs as ONNX Runtime's own values, which are not copied; only as arrays where text goes in."""
        from onnxruntime import OrtValue

        given = {name: held[name] for name in self.takes}
        if any(isinstance(value, np.ndarray) and value.dtype.kind in "OUS" for value in given.values()):
            arrays = {name: value if isinstance(value, np.ndarray) else value.numpy() for name, value in given.items()}
            return dict(zip(self.gives, self.session.run(list(self.gives), arrays), strict=True))
        values = {
            name: OrtValue.ortvalue_from_numpy(np.ascontiguousarray(value)) if isinstance(value, np.ndarray) else value
            for name, value in given.items()
        }
        return dict(zip(self.gives, self.session.run_with_ort_values(list(self.gives), values), strict=True))


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """An opened graph; may be run by several threads at once. `same` names for each tensor that only reorders the values of
    another that other; it is not looked at. `shared` keeps the weights."""

    inputs: tuple[str, ...]
    pieces: tuple[Piece, ...]
    same: Mapping[str, str]
    shared: Sequence[object] = field(repr=False)

    def floats(self, batch: Batch) -> Iterator[tuple[str, np.ndarray]]:
        """Each float tensor as it is made, the inputs first. Let one go before asking for the next."""
        held: dict[str, Any] = {name: batch[name] for name in self.inputs}
        yield from floats_of(held.items())
        for piece in self.pieces:
            made = piece.run(held)
            held = {name: value for name, value in {**held, **made}.items() if name in piece.needed}
            for name in piece.floats:
                value = made.pop(name)
                yield name, value if isinstance(value, np.ndarray) else np.from_dlpack(value)
            made.clear()


def floats_of(arrays: Iterable[tuple[str, np.ndarray]]) -> Iterator[tuple[str, np.ndarray]]:
    """Those of a float type."""
    return ((name, array) for name, array in arrays if array.dtype.kind == "f")


def opened(path: Path, nodes: int = NODES) -> Pieces:
    """The graph in pieces of so many nodes, each on one thread. Nothing is optimized: convolutions would gain a fourth of
    the time, and keep their weights twice."""
    return _Cut(path).pieces(nodes)


class _Cut:
    """The cutting of one model. A piece must say the types of what goes in: the pieces before it have told them."""

    def __init__(self, path: Path) -> None:
        import onnx

        self.path = path
        whole = onnx.load(path, load_external_data=False)
        self.weights, self.arrays = _weights_of(whole)
        self.shared: dict[str, Any] = {}
        del whole.graph.initializer[:]
        self.model = onnx.load_from_string(whole.SerializeToString())  # a message keeps what was deleted from it
        graph = self.model.graph
        self.constants = {node.output[0]: node for node in graph.node if node.op_type == "Constant"}
        self.nodes = [node for node in graph.node if node.op_type != "Constant"]
        self.inputs = tuple(value.name for value in graph.input if value.name not in self.weights)
        self.types: dict[str, TypeProto] = {value.name: value.type for value in graph.input if value.name in self.inputs}
        self.same: dict[str, str] = {}
        self.last_reader = {name: number for number, node in enumerate(self.nodes) for name in _read_by(node)}

    def pieces(self, nodes: int) -> Pieces:
        """From the first node to the last. A piece grows where something that is no tensor would be cut."""
        found, start, size = [], 0, nodes
        while start < len(self.nodes):
            piece = self._opened(self.nodes[start : start + size], start + size)
            if piece is None and start + size < len(self.nodes):
                size *= 2
                continue
            found += [piece] if piece else []
            start, size = start + size, nodes
        return Pieces(inputs=self.inputs, pieces=tuple(found), same=self.same, shared=tuple(self.shared.values()))

    def _opened(self, nodes: "Sequence[NodeProto]", end: int) -> Piece | None:
        """The nodes before number `end` as a piece; None where it gives nothing, or something that cannot be handed on."""
        import onnxruntime

        needed = frozenset(name for name, reader in self.last_reader.items() if reader >= end)
        self.same |= {node.output[0]: node.input[0] for node in nodes if self._only_reorders(node)}
        read = {name for node in nodes for name in _read_by(node)}
        takes = tuple(name for name in read if name in self.types)
        made = [name for node in nodes for name in node.output if name]
        gives = [name for name in made if name in needed or name not in self.same]
        if not gives:
            return None
        options = graphs.options_for(self.path)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # each would keep what its largest call took
        large = [name for name in read if name in self.arrays]
        options.add_external_initializers(large, [self._value(name) for name in large])
        written = self._written(nodes, read, takes, gives).SerializeToString()
        session = onnxruntime.InferenceSession(written, options, providers=["CPUExecutionProvider"])
        kinds = {value.name: value.type for value in session.get_outputs()}
        tensors = {name: kind for name, kind in kinds.items() if kind.startswith("tensor(")}
        if any(name in needed for name in kinds.keys() - tensors.keys()):
            return None
        self.types |= {name: _type(kind) for name, kind in tensors.items()}
        floats = tuple(name for name, kind in kinds.items() if kind in graphs.FLOATS and name not in self.same)
        kept = tuple(name for name in gives if name in floats or name in needed)
        return Piece(session=session, takes=takes, gives=kept, floats=floats, needed=needed) if kept else None

    def _only_reorders(self, node: "NodeProto") -> bool:
        known = node.input[0] not in self.weights and node.input[0] not in self.constants if node.input else False
        return node.op_type in SAME_VALUES and node.domain in ("", "ai.onnx") and known

    def _value(self, name: str) -> Any:  # noqa: ANN401 - an OrtValue
        from onnxruntime import OrtValue

        return self.shared.setdefault(name, OrtValue.ortvalue_from_numpy(self.arrays[name]))

    def _written(
        self, nodes: "Sequence[NodeProto]", read: set[str], takes: Iterable[str], gives: Iterable[str]
    ) -> "ModelProto":
        from onnx import ValueInfoProto, helper

        constants = [node for name, node in self.constants.items() if name in read]
        graph = helper.make_graph(
            [*constants, *nodes],
            "piece",
            [ValueInfoProto(name=name, type=self.types[name]) for name in takes],
            [ValueInfoProto(name=name) for name in gives],
            [self.weights[name] for name in read if name in self.weights],
        )
        version, sets = self.model.ir_version, self.model.opset_import
        return helper.make_model(graph, ir_version=version, opset_imports=sets, functions=self.model.functions)


def _weights_of(model: "ModelProto") -> tuple[dict[str, "TensorProto"], dict[str, np.ndarray]]:
    """Each weight as it stands in a piece's graph, and the large ones' values, for which that says nothing but the shape."""
    from onnx import TensorProto, numpy_helper

    weights: dict[str, TensorProto] = {}
    arrays: dict[str, np.ndarray] = {}
    for tensor in model.graph.initializer:
        weights[tensor.name] = one = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        if len(tensor.raw_data) < SHARED_BYTES or tensor.data_type not in _PLAIN:
            one.CopyFrom(tensor)
            continue
        arrays[tensor.name] = numpy_helper.to_array(tensor)
        one.data_location = TensorProto.EXTERNAL
        one.external_data.add(key="location", value=tensor.name)
        one.external_data.add(key="length", value=str(arrays[tensor.name].nbytes))
    return weights, arrays


_PLAIN = (1, 2, 3, 6, 7, 10, 11)
"""Types of weights, as TensorProto numbers them, that numpy has too: float, uint8, int8, int32, int64, float16, double."""


def _read_by(node: "NodeProto") -> set[str]:
    """The tensors that a node reads, inside its branches and loops as well."""
    inner = [graph for item in node.attribute for graph in (item.g, *item.graphs)]
    return {name for name in node.input if name}.union(*(_read_by(one) for graph in inner for one in graph.node))


def _type(kind: str) -> "TypeProto":
    """ONNX Runtime's name of a tensor's type, as `tensor(int64)`, in a graph's own form."""
    from onnx import TensorProto, TypeProto

    number = TensorProto.DataType.Value(kind.removeprefix("tensor(").removesuffix(")").upper())
    return TypeProto(tensor_type=TypeProto.Tensor(elem_type=number))
