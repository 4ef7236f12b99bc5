"""Transformer fusions found from the graph itself: attention, GELU, and residual sums as the processor likes them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fdpipe import graphs
from fdpipe.errors import NotApplicable
from fdpipe.interfaces import Calibration, Need
from fdpipe.passes._web import MICROSOFT, Web

if TYPE_CHECKING:
    from onnx import NodeProto

SPLIT, JOINED, TURNED = [0, 2, 1, 3], [0, 2, 3, 1], [0, 1, 3, 2]
"""Permutations: (rows, sequence, heads, size) with the heads in front, and keys turned for the product with queries."""

RAISED = 15
"""The version of ONNX's operators since which one tells the length of one axis; older models are brought to it."""

ROOT_OF_2 = 2**0.5


class Fusion(StrEnum):
    """What can be fused.

    `attention`: both products of an attention, its softmax and what splits and joins the heads → MultiHeadAttention.
    `gelu`: x · (1 + erf(x / √2)) / 2 (Hendrycks and Gimpel, 2016), in whatever order it is multiplied → Gelu.
    `residual`: the sum before a LayerNormalization → Sum, which ONNX Runtime does not make a SkipLayerNormalization of: its
    kernel for that takes longer than the two operators.
    """

    ATTENTION = "attention"
    GELU = "gelu"
    RESIDUAL = "residual"


@dataclass(frozen=True, kw_only=True)
class FuseTransformer:
    """Fuse what the graph has of `fusions`; the number of heads and their size are read from the graph. A graph without
    attention is refused or, unless it is `required`, left as it is.

    Written for what torch exports, which ONNX Runtime's own scripts of transformer fusions do not recognize.
    """

    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")
    takes: ClassVar[str] = "onnx"
    gives: ClassVar[str] = "onnx"
    needs: ClassVar[Need] = Need.NOTHING

    fusions: tuple[Fusion, ...] = (Fusion.ATTENTION, Fusion.GELU, Fusion.RESIDUAL)
    required: bool = True

    def __post_init__(self) -> None:
        """Something to fuse."""
        if not self.fusions:
            raise ValueError("fusions must name at least one of attention, gelu and residual")

    def requires(self, source: Path) -> None:
        """An attention: a Softmax between two products of activations."""
        if self.required and not list(attentions(Web(graphs.shaped(source)))):
            raise NotApplicable("the graph has no attention (MatMul, Softmax, MatMul): it is no transformer")

    def apply(self, source: Path, target: Path, calibration: Calibration) -> None:
        """Replace node by node, drop what nobody reads any more, and write it."""
        with graphs.told("fusing a transformer"):
            model = graphs.shaped(source)
            web = Web(graphs.raised(model, RAISED))
            for fusion in self.fusions:
                FUSES[fusion](web)
            web.settle()
            graphs.write(web.model, target)

    def ensures(self, source: Path, target: Path) -> None:
        """It opens, has fewer nodes or others, and the same inputs and outputs."""
        if self.required and sorted(graphs.operators(target)) == sorted(graphs.operators(source)):
            raise NotApplicable(f"nothing of the graph can be fused by {', '.join(self.fusions)}")
        graphs.ensure_replaces(target, source)


# --- attention --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Attention:
    """One that was found: its tensors of shape (rows, sequence, heads · size), the bias of its scores, and its last node."""

    query: str
    key: str
    value: str
    bias: str
    heads: int
    scale: float
    last: "NodeProto"


def attentions(web: Web) -> Iterator[Attention]:
    """Every attention of the graph whose heads can be told, in order."""
    for softmax in web.all("Softmax"):
        if found := _attention(web, softmax):
            yield found


def _attention(web: Web, softmax: "NodeProto") -> Attention | None:
    if web.number(softmax, "axis", -1) not in (-1, 3):
        return None
    scores, bias = web.maker(softmax.input[0]), ""
    if scores is not None and scores.op_type == "Add":
        products = [web.scaled_product(name) is not None for name in scores.input]
        if sum(products) != 1:
            return None
        bias = scores.input[products.index(False)]
        scores = web.maker(scores.input[products.index(True)])
    found = web.scaled_product(scores.output[0]) if scores is not None else None
    weighted = web.only_reader(softmax.output[0])
    if found is None or weighted is None or weighted.op_type != "MatMul" or weighted.input[0] != softmax.output[0]:
        return None
    product, scale = found
    query, query_scale = web.unscaled(product.input[0])
    key, key_scale = web.unscaled(product.input[1])
    joined = web.only_reader(weighted.output[0])
    last = web.only_reader(joined.output[0]) if joined is not None and _turns(web, joined, SPLIT) else None
    names = [_whole(web, query), _turned(web, key), _whole(web, weighted.input[1])]
    if last is None or last.op_type != "Reshape" or None in names:
        return None
    width, size = web.axis(names[0] or "", -1), web.axis(query, -1)
    if not width or not size or width % size or (bias and web.rank(bias) != 4):
        return None
    whole = scale * query_scale * key_scale
    first, second, third = (name or "" for name in names)
    return Attention(query=first, key=second, value=third, bias=bias, heads=width // size, scale=whole, last=last)


def _turns(web: Web, node: "NodeProto | None", order: list[int]) -> bool:
    return node is not None and node.op_type == "Transpose" and web.numbers(node, "perm") == order


def _whole(web: Web, name: str) -> str | None:
    """The tensor of rank 3 whose heads were split and brought in front."""
    node = web.maker(name)
    split = web.maker(node.input[0]) if node is not None and _turns(web, node, SPLIT) else None
    return split.input[0] if split is not None and split.op_type == "Reshape" and web.rank(split.input[0]) == 3 else None


def _turned(web: Web, name: str) -> str | None:
    """The same of keys, which are also turned."""
    node = web.maker(name)
    if node is not None and _turns(web, node, TURNED):
        return _whole(web, node.input[0])
    split = web.maker(node.input[0]) if node is not None and _turns(web, node, JOINED) else None
    return split.input[0] if split is not None and split.op_type == "Reshape" and web.rank(split.input[0]) == 3 else None


def _fuse_attention(web: Web) -> None:
    wide: dict[str, str] = {}
    for found in list(attentions(web)):
        inputs = [found.query, found.key, found.value]
        if found.bias:
            wide[found.bias] = wide.get(found.bias) or _widened(web, found)
            inputs += ["", "", wide[found.bias]]
        web.replace(found.last, "MultiHeadAttention", inputs, domain=MICROSOFT, num_heads=found.heads, scale=found.scale)


def _widened(web: Web, found: Attention) -> str:
    """The bias with a row for each query, which MultiHeadAttention insists on, where it may have one for all."""
    if web.axis(found.bias, 2) > 1:
        return found.bias
    names = [f"{found.bias}_{part}" for part in ("queries", "shape", "wide")]
    one = web.weight(f"{found.bias}_one", np.ones(1, np.int64))
    web.insert_before(found.last, "Shape", [found.query], names[0], start=1, end=2)
    web.insert_before(found.last, "Concat", [one, one, names[0], one], names[1], axis=0)
    web.insert_before(found.last, "Expand", [found.bias, names[1]], names[2])
    return names[2]


# --- gelu and residual sums -------------------------------------------------------------------------------------------


def _fuse_gelu(web: Web) -> None:
    """erf(x / √2) + 1 is one factor, ½ and x are the others; the last product is what is replaced."""
    for erf in web.all("Erf"):
        inner, factor = web.unscaled(erf.input[0])
        plus = web.only_reader(erf.output[0])
        if plus is None or plus.op_type != "Add" or abs(factor - 1 / ROOT_OF_2) > 1e-4 or not web.adds_constant(plus, 1.0):
            continue
        half, seen, node = 1.0, False, web.only_reader(plus.output[0])
        last, given = None, plus.output[0]
        while node is not None and node.op_type == "Mul":
            other = node.input[1] if node.input[0] == given else node.input[0]
            constant = web.constant(other)
            maker_scale = web.unscaled(other)
            if constant is not None:
                half *= constant
            elif maker_scale[0] == inner and not seen:
                seen, half = True, half * maker_scale[1]
            else:
                break
            if seen and abs(half - 0.5) < 1e-4:
                last = node
                break
            given, node = node.output[0], web.only_reader(node.output[0])
        if last is not None:
            web.replace(last, "Gelu", [inner], domain=MICROSOFT)


def _sum_residuals(web: Web) -> None:
    for norm in web.all("LayerNormalization"):
        add = web.maker(norm.input[0])
        if add is not None and add.op_type == "Add" and not any(web.is_constant(name) for name in add.input):
            web.replace(add, "Sum", list(add.input))


FUSES: dict[Fusion, Callable[[Web], None]] = {
    Fusion.ATTENTION: _fuse_attention,
    Fusion.GELU: _fuse_gelu,
    Fusion.RESIDUAL: _sum_residuals,
}
