"""Weight-only INT8 and INT4: weights in blocks of few bits, each block with a scale of its own; no calibration."""

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

SMALLEST_BLOCK = 16
"""What ONNX Runtime's MatMulNBits takes."""


class Products(StrEnum):
    """What a product with such weights is calculated in; the numbers that MatMulNBits has for it are in `ACCURACY`."""

    INT8 = "int8"
    FLOAT32 = "float32"


ACCURACY = {Products.INT8: 4, Products.FLOAT32: 1}


@dataclass(frozen=True, kw_only=True)
class WeightOnly:
    """Write the weights of MatMul and Gemm in `bits`, 8 or 4, in blocks of `block_size` along the summed axis.

    With `products` int8 the other factor is quantized too, at each call and block by block of each row: an answer does not
    depend on its batch-mates. `symmetric` blocks have no zero point of their own. Weights of fewer than `smallest` numbers
    and the nodes of `exclude` (by their first outputs) stay in float.
    """

    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")
    takes: ClassVar[str] = "onnx"
    gives: ClassVar[str] = "onnx"
    needs: ClassVar[Need] = Need.NOTHING

    bits: int = 8
    block_size: int = 32
    symmetric: bool = True
    products: Products = Products.INT8
    smallest: int = 1024
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """What MatMulNBits knows."""
        if self.bits not in (4, 8):
            raise ValueError("bits must be 4 or 8")
        if self.block_size < SMALLEST_BLOCK or self.block_size & (self.block_size - 1):
            raise ValueError("block_size must be a power of 2 from 16")
        if self.smallest < 0:
            raise ValueError("smallest must not be negative")

    def requires(self, source: Path) -> None:
        """A MatMul or Gemm, and the nodes that are to be left alone."""
        if not {"MatMul", "Gemm"} & set(graphs.operators(source)):
            raise NotApplicable("the graph has no MatMul or Gemm: there are no weights to quantize")
        graphs.check_outputs(source, self.exclude)

    def apply(self, source: Path, target: Path, calibration: Calibration) -> None:
        """Replace each product by MatMulNBits; what is added in a Gemm is added behind it."""
        with graphs.told("weight-only quantization"):
            model = graphs.read(source)
            web = Web(model)
            for node in [*web.all("MatMul"), *web.all("Gemm")]:
                weights = self._weights(web, node)
                if weights is not None:
                    self._replace(web, node, weights)
            web.settle()
            graphs.write(model, target)

    def _weights(self, web: Web, node: "NodeProto") -> np.ndarray | None:
        """The float32 weights of a product, of shape (outputs, inputs); None where it is to be left alone."""
        found = web.array(node.input[1])
        if found is None or found.dtype != np.float32 or found.ndim != 2 or node.output[0] in self.exclude:
            return None
        if found.size < self.smallest or web.is_constant(node.input[0]):
            return None
        if node.op_type == "Gemm":
            if web.number(node, "transA", 0) or (web.real(node, "alpha", 1.0), web.real(node, "beta", 1.0)) != (1.0, 1.0):
                return None
            return found if web.number(node, "transB", 0) else found.T
        return found.T

    def _replace(self, web: Web, node: "NodeProto", weights: np.ndarray) -> None:
        packed, scales, zeros = blocks(weights, self.bits, self.block_size, symmetric=self.symmetric)
        output = node.output[0]
        names = [web.weight(f"{output}_{self.bits}_bits", packed), web.weight(f"{output}_scales", scales)]
        names += [] if zeros is None else [web.weight(f"{output}_zeros", zeros)]
        bias = node.input[2] if len(node.input) > 2 and node.input[2] else ""
        inputs, product = [node.input[0], *names], f"{output}_product" if bias else output
        if bias:
            web.insert_before(node, "MatMulNBits", inputs, product, domain=MICROSOFT, **self._attributes(weights))
            web.replace(node, "Add", [product, bias])
        else:
            web.replace(node, "MatMulNBits", inputs, domain=MICROSOFT, **self._attributes(weights))

    def _attributes(self, weights: np.ndarray) -> dict[str, int]:
        columns, summed = weights.shape
        shape = {"N": columns, "K": summed, "bits": self.bits, "block_size": self.block_size}
        return shape | {"accuracy_level": ACCURACY[self.products]}

    def ensures(self, source: Path, target: Path) -> None:
        """It opens, has weights of few bits, and the same inputs and outputs."""
        if "MatMulNBits" not in graphs.operators(target):
            raise NotApplicable(f"the graph has no MatMul or Gemm with {self.smallest} constant weights: nothing was quantized")
        graphs.ensure_replaces(target, source)


def blocks(weights: np.ndarray, bits: int, size: int, *, symmetric: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Weights of shape (outputs, inputs) as MatMulNBits reads them: bytes (outputs, blocks, size · bits / 8), scales (outputs ·
    blocks) and, unless `symmetric`, zero points, one byte or half a byte each."""
    columns, summed = weights.shape
    count, top = -(-summed // size), 2**bits - 1
    padded = np.zeros((columns, count * size), np.float32)
    padded[:, :summed] = weights
    parts = padded.reshape(columns, count, size)
    if symmetric:
        farthest = np.take_along_axis(parts, np.abs(parts).argmax(-1)[..., None], -1)
        scales = farthest / -(2 ** (bits - 1))  # of whichever sign brings the farthest value to the end that has one more
        zeros = np.full_like(scales, 2 ** (bits - 1))
    else:
        low, high = np.minimum(parts.min(-1, keepdims=True), 0), np.maximum(parts.max(-1, keepdims=True), 0)
        scales = (high - low) / top
        zeros = np.rint(np.divide(-low, scales, out=np.zeros_like(low), where=scales != 0))
    divided = np.divide(parts, scales, out=np.zeros_like(parts), where=scales != 0)
    found = np.clip(np.rint(divided) + zeros, 0, top).astype(np.uint8)
    packed_zeros = None if symmetric else _packed(zeros[..., 0].astype(np.uint8), bits).reshape(-1)
    return _packed(found, bits), scales.reshape(-1).astype(np.float32), packed_zeros


def _packed(numbers: np.ndarray, bits: int) -> np.ndarray:
    """Two numbers a byte, the first in its lower half, where they have 4 bits; an odd last one alone."""
    if bits == 8:
        return numbers
    if numbers.shape[-1] % 2:
        numbers = np.concatenate([numbers, np.zeros_like(numbers[..., :1])], -1)
    packed: np.ndarray = numbers[..., ::2] | numbers[..., 1::2] << 4
    return packed
