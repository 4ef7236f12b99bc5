"""Smoothing before INT8: what a normalization makes large in some channels goes into the weights that follow."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fdpipe import graphs
from fdpipe.errors import NotApplicable
from fdpipe.interfaces import Calibration, Need
from fdpipe.passes._web import Web

if TYPE_CHECKING:
    from onnx import NodeProto

DEVIATIONS = 4
"""How far a normalized value is taken to stray, in standard deviations."""

TINY = 1e-5


@dataclass(frozen=True, kw_only=True)
class Smooth:
    """Divide each channel between a LayerNormalization and the MatMuls behind it by a factor, and multiply their weights by
    it: the model is the same, and its activations fit one scale better (SmoothQuant, Xiao et al., 2022).

    The factor is activation ^ `strength` / weight ^ (1 - `strength`), of the largest each. An activation's largest value is
    guessed from the normalization's own weights, so that no calibration is needed. A graph without such a place is refused
    or, unless it is `required`, left as it is.
    """

    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")
    takes: ClassVar[str] = "onnx"
    gives: ClassVar[str] = "onnx"
    needs: ClassVar[Need] = Need.NOTHING

    strength: float = 0.7
    required: bool = True

    def __post_init__(self) -> None:
        """Ranges."""
        if not 0 < self.strength <= 1:
            raise ValueError("strength must be above 0 and at most 1")

    def requires(self, source: Path) -> None:
        """A normalization before a product with weights."""
        if self.required and not list(places(Web(graphs.read(source)))):
            raise NotApplicable("the graph has no LayerNormalization before a MatMul: there is nothing to smooth")

    def apply(self, source: Path, target: Path, calibration: Calibration) -> None:
        """A product with the inverse factors before the MatMuls; the normalization stays, since a residual reads it too."""
        with graphs.told("smoothing"):
            model = graphs.read(source)
            web = Web(model)
            for norm, products in list(places(web)):
                self._smooth(web, norm, products)
            web.settle()
            graphs.write(model, target)

    def _smooth(self, web: Web, norm: "NodeProto", products: "list[NodeProto]") -> None:
        name = norm.output[0]
        scale, shift = (web.array(one) for one in [*norm.input[1:], ""][:2])
        weights = {node.input[1]: web.array(node.input[1]) for node in products}
        largest = np.max([np.abs(array).max(1) for array in weights.values() if array is not None], 0)
        activation = np.abs(scale) * DEVIATIONS + (0 if shift is None else np.abs(shift))  # type: ignore[arg-type]
        factors = np.maximum(activation, TINY) ** self.strength / np.maximum(largest, TINY) ** (1 - self.strength)
        factors = (factors / np.exp(np.log(factors).mean())).astype(np.float32)
        inverse = web.weight(f"{name}_factors", 1 / factors)
        first = next(node for node in web.graph.node if any(node.output == one.output for one in products))
        web.insert_before(first, "Mul", [name, inverse], f"{name}_smooth")
        for weight, array in weights.items():
            web.weight(f"{weight}_{name}", np.multiply(array, factors[:, None], dtype=np.float32))  # type: ignore[arg-type]
        for node in products:
            node.input[:] = [f"{name}_smooth", f"{node.input[1]}_{name}"]

    def ensures(self, source: Path, target: Path) -> None:
        """It opens, with the same inputs and outputs."""
        graphs.ensure_replaces(target, source)


def places(web: Web) -> "Iterator[tuple[NodeProto, list[NodeProto]]]":
    """Each normalization over the last axis, with the products of it and float32 weights; those without any are left out."""
    for norm in web.all("LayerNormalization"):
        name, scale = norm.output[0], web.array(norm.input[1])
        found = [node for node in web.readers.get(name, []) if node.op_type == "MatMul" and node.input[0] == name]
        weights = [(node, web.array(node.input[1])) for node in found]
        fitting = [node for node, array in weights if array is not None and array.ndim == 2 and array.dtype == np.float32]
        if fitting and scale is not None and scale.ndim == 1 and scale.dtype == np.float32:
            yield norm, fitting
