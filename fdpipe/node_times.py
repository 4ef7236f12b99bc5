"""What the times of a model's nodes say: how much of a call is arithmetic on 8 bits, and where 8 bits do not pay."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from fdpipe.artifacts import NodeTime

EIGHT_BITS = re.compile(
    r"^QLinear|^NhwcMaxPool|^Q(Gemm|Attention|Embed|MoE|LSTM)|Integer|^DynamicQuantize(MatMul|LSTM)|NBits|(^|[_\W])[iu]8\b",
    re.IGNORECASE,
)
"""How runtimes call operators that compute on 8 bits; OpenVINO ends a kernel's name with the type."""

QUANTIZING = re.compile(r"^(Dynamic)?Quantize(Linear)?\b|^FakeQuantize\b", re.IGNORECASE)
DEQUANTIZING = re.compile(r"^Dequantize(Linear)?\b", re.IGNORECASE)
"""Operators that only convert between float and 8 bits."""

MOVING = re.compile(
    r"^(Cast|Concat|Const|Constant|Convert|Expand|Flatten|Gather(ND)?|Identity|Input|Output|Parameter|Range|Reorder(Input|Output)?"
    r"|Reshape|Result|Shape(Of)?|Slice|Split|Squeeze|StridedSlice|Tile|Transpose|Unsqueeze)\b"
)
"""Operators that compute nothing."""

PRODUCTS = ("MatMul", "Gemm", "Conv", "ConvTranspose")
"""Operators of ONNX that are quantized for the sake of speed."""

FOLLOWING = ("Add", "BatchNormalization", "Clip", "HardSwish", "LeakyRelu", "Mul", "Relu", "Sigmoid")
"""Operators of ONNX that runtimes fuse with a product before them."""

MEASURABLE = 1.05
"""A node does not pay in 8 bits where it takes so many times as long as in float: below it, the two may be alike."""


class Work(StrEnum):
    """What a node's time is spent on."""

    EIGHT_BITS = "eight bits"
    CONVERTING = "converting"
    MOVING = "moving"
    FLOAT = "float"


def work_of(operator: str) -> Work:
    """By the runtime's own word for it."""
    if QUANTIZING.search(operator) or DEQUANTIZING.search(operator):
        return Work.CONVERTING
    if MOVING.search(operator):
        return Work.MOVING
    return Work.EIGHT_BITS if EIGHT_BITS.search(operator) else Work.FLOAT


def shares(times: Iterable[NodeTime]) -> dict[Work, float]:
    """The share of a call's time that goes into each kind of work; all 0 where no time was measured."""
    spent = dict.fromkeys(Work, 0.0)
    for one in times:
        spent[work_of(one.operator)] += one.ms
    total = sum(spent.values())
    return {work: ms / total if total else 0.0 for work, ms in spent.items()}


def by_output(times: Iterable[NodeTime], path: Path) -> tuple[NodeTime, ...]:
    """The same with the first output of a node of the ONNX model at `path` in place of that node's own name, by which some
    runtimes call it."""
    import onnx

    nodes = onnx.load(path, load_external_data=False).graph.node
    names = {node.name: node.output[0] for node in nodes if node.name}
    return tuple(
        replace(one, node=names.get(one.node, one.node), inputs=tuple(names.get(name, name) for name in one.inputs))
        for one in times
    )


# --- two profiles of one model ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Chains:
    """What of a float ONNX model can be compared. `last` has, for each node by its first output, the last node of the chain
    that it is in: a product and what alone takes its output and is fused with it. `products` are all products."""

    last: Mapping[str, str]
    products: tuple[str, ...]


def chains(path: Path) -> Chains:
    """Those of the model; nodes of subgraphs are not in it."""
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    readers = Counter([name for node in graph.node for name in node.input] + [value.name for value in graph.output])
    only = {name: node for node in graph.node for name in node.input if readers[name] == 1}
    last: dict[str, str] = {}
    for node in reversed(graph.node):
        own, after = node.output[0], only.get(node.output[0])
        last[own] = last[after.output[0]] if after is not None and after.op_type in FOLLOWING else own
    return Chains(last=last, products=tuple(node.output[0] for node in graph.node if node.op_type in PRODUCTS))


def unpaid(quantized: Sequence[NodeTime], floats: Sequence[NodeTime], model: Chains) -> tuple[str, ...]:
    """The products of the model that take longer quantized than in float, each by its first output, that with the most to save
    first.

    Chains are compared, with all that quantizes for them and dequantizes behind them; what serves several is shared out
    evenly. A node counts for nothing where neither it nor what it feeds has a name that the model knows.
    """
    ours, theirs = _Profile(quantized, model), _Profile(floats, model)
    lost = {chain: ours.ms[chain] - theirs.ms.get(chain, 0.0) for chain in ours.converted}
    slow = {chain for chain in lost if ours.ms[chain] > MEASURABLE * theirs.ms.get(chain, 0.0) and chain in theirs.ms}
    found = [name for name in model.products if model.last[name] in slow]
    return tuple(sorted(found, key=lambda name: -lost[model.last[name]]))


class _Profile:
    """A model's times by chain, and the chains in which something computes on 8 bits or converts."""

    def __init__(self, times: Sequence[NodeTime], model: Chains) -> None:
        self._last = model.last
        self._by_name: dict[str, list[NodeTime]] = defaultdict(list)
        self._readers: dict[str, list[NodeTime]] = defaultdict(list)
        for one in times:
            self._by_name[one.node].append(one)
            for name in one.inputs:
                self._readers[name].append(one)
        self.ms: dict[str, float] = defaultdict(float)
        self.converted: set[str] = set()
        for one in times:
            found = self._chains(one, frozenset())
            for chain in found:
                self.ms[chain] += one.ms / len(found)
            if work_of(one.operator) in (Work.EIGHT_BITS, Work.CONVERTING):
                self.converted |= found

    def _chains(self, one: NodeTime, passed: frozenset[str]) -> set[str]:
        """Those that a node works for: its own, or those that it dequantizes, or those that need its output."""
        if one.node in self._last:
            return {self._last[one.node]}
        makers = [maker for name in one.inputs for maker in self._by_name[name]]
        if DEQUANTIZING.search(one.operator) and any(work_of(maker.operator) is Work.EIGHT_BITS for maker in makers):
            others = makers
        else:
            others = self._readers[one.node]
        ahead = passed | {one.node}
        return {chain for other in others if other.node not in ahead for chain in self._chains(other, ahead)}
