"""Float16: half the memory and, where the processor multiplies halves, less time."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from fdpipe import graphs
from fdpipe.errors import NotApplicable
from fdpipe.interfaces import Calibration, Need

SUMS = ("LayerNormalization", "Softmax", "ReduceMean", "ReduceSum", "ReduceL2", "Pow", "Exp", "Log")
"""Operators whose sums or powers leave what a half can hold (65,504) or lose its 11 bits."""

ML = "ai.onnx.ml"


@dataclass(frozen=True, kw_only=True)
class Float16:
    """Weights and tensors become halves, inputs and outputs of the model stay float32. The operators of `block` stay float32,
    beside those that have no form in float16 and everything of `ai.onnx.ml`.

    ONNX Runtime calculates most operators in float32 on a processor and casts around them: there this saves weight only.
    There is no such pass for bfloat16, in which ONNX Runtime has no kernels on x86; OpenVINO calculates in it by itself
    (`precision`, a setting of its session).
    """

    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")
    takes: ClassVar[str] = "onnx"
    gives: ClassVar[str] = "onnx"
    needs: ClassVar[Need] = Need.NOTHING

    block: tuple[str, ...] = SUMS

    def requires(self, source: Path) -> None:
        """A weight in float32 that an operator reads which may become a half."""
        model = graphs.read(source)
        blocked = self._blocked()
        weights = {tensor.name for tensor in model.graph.initializer if tensor.data_type == tensor.FLOAT}
        if not any(weights & set(node.input) for node in model.graph.node if node.op_type not in blocked and node.domain != ML):
            raise NotApplicable("the graph has no float32 weights for float16, as of a Conv, Gemm or MatMul")

    def _blocked(self) -> list[str]:
        with converter() as library:
            return [*library.DEFAULT_OP_BLOCK_LIST, *self.block]

    def apply(self, source: Path, target: Path, calibration: Calibration) -> None:
        """ONNX Runtime's converter, with the types that ONNX Runtime knows."""
        from onnxruntime.quantization.onnx_model import ONNXModel

        with graphs.told("conversion to float16"), converter() as library:
            model = graphs.annotated(source)
            foreign = [node.name for node in model.graph.node if node.domain == ML]
            made = library.convert_float_to_float16(
                model, keep_io_types=True, disable_shape_infer=True, op_block_list=self._blocked(), node_block_list=foreign
            )
            ordered = ONNXModel(made)  # the casts of inputs stand at the end
            ordered.topological_sort()
            graphs.write(ordered.model, target)

    def ensures(self, source: Path, target: Path) -> None:
        """It opens, holds halves, and has the same inputs and outputs."""
        if not any(tensor.data_type == tensor.FLOAT16 for tensor in graphs.read(target).graph.initializer):
            raise NotApplicable("no weight of the graph became float16")
        graphs.ensure_replaces(target, source)


@contextmanager
def converter() -> Iterator[Any]:
    """ONNX Runtime's module `float16`, from a package that puts its whole folder on Python's path when it is imported."""
    path = list(sys.path)
    try:
        from onnxruntime.transformers import float16, onnx_utils  # noqa: F401 - which its quantizers import, by that path

        yield float16
    finally:
        sys.path[:] = path
