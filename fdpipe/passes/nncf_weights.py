"""INT8 or INT4 weights for OpenVINO, by NNCF; activations are quantized at each call, in groups within a row."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fdpipe import graphs
from fdpipe.errors import NotApplicable
from fdpipe.interfaces import Calibration, Need
from fdpipe.openvino import quantizer
from fdpipe.passes._openvino_graphs import ensure_replaces, made_of, read, told, weights_of, write

BITS = {8: "int8_sym", 4: "int4_sym"}
"""NNCF's names of symmetric weights: with zero points, OpenVINO does not quantize activations."""

GROUP = "DYNAMIC_QUANTIZATION_GROUP_SIZE"
"""OpenVINO reads it from the model itself, under `runtime_options`, unless the session sets it."""


@dataclass(frozen=True, kw_only=True)
class NncfWeights:
    """NNCF's `compress_weights`: symmetric weights of 8 or 4 `bits`, with a scale for each output, or of `weight_group`
    inputs for 4 bits.

    At each call OpenVINO quantizes activations too, a scale for each `group` of values of a row, so that an answer does not
    depend on its batch-mates; 0 leaves activations in float. Nodes in `exclude` stay in float.
    """

    packages: ClassVar[tuple[str, ...]] = ("openvino", "nncf")
    takes: ClassVar[str] = "onnx"
    gives: ClassVar[str] = "openvino"
    needs: ClassVar[Need] = Need.NOTHING

    bits: int = 8
    group: int = 128
    weight_group: int = 128
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Choices and ranges."""
        if self.bits not in BITS:
            raise ValueError(f"bits must be 8 or 4, not {self.bits}")
        if self.group < 0 or self.group % 32:
            raise ValueError(f"group must be 0 or a multiple of 32, not {self.group}")
        if self.weight_group < 1:
            raise ValueError("weight_group must be at least 1")

    def requires(self, source: Path) -> None:
        """A product with constant weights, no quantized tensor yet, and nodes of the names in `exclude`."""
        found = set(graphs.operators(source))
        if {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"} & found:
            raise NotApplicable("the graph is quantized already")
        if not {"Gemm", "MatMul"} & found:
            raise NotApplicable("the graph has no Gemm or MatMul: there are no weights to compress")
        graphs.check_outputs(source, self.exclude)

    def apply(self, source: Path, target: Path, calibration: Calibration) -> None:
        """Read the ONNX file with OpenVINO, compress its weights and write `target` with its weights beside it."""
        with quantizer() as nncf, told("NNCF's compression of weights"):
            model = read(source)
            scope = nncf.IgnoredScope(names=sorted(made_of(model, self.exclude)), validate=False)
            groups = {} if self.bits == 8 else {"group_size": self.weight_group, "all_layers": True}
            made = nncf.compress_weights(model, mode=nncf.CompressWeightsMode(BITS[self.bits]), ignored_scope=scope, **groups)
            made.set_rt_info(str(self.group), ["runtime_options", GROUP])
            write(made, target)

    def ensures(self, source: Path, target: Path) -> None:
        """It has weights of few bits, and the same inputs and outputs."""
        if not {"i8", "u8", "i4", "u4"} & set(weights_of(target)):
            raise NotApplicable("the graph has no Gemm or MatMul whose weights can be compressed")
        ensure_replaces(target, source)
