"""Dynamic INT8: weights quantized beforehand, activations at each call, with a scale taken from the batch at hand."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fdpipe import graphs
from fdpipe.errors import NotApplicable
from fdpipe.interfaces import Calibration, Need


@dataclass(frozen=True, kw_only=True)
class Int8Dynamic:
    """Quantize MatMul and Gemm with constant weights, `per_channel` or with one scale a matrix.

    `exclude` leaves nodes alone by their first outputs. Convolutions are always left alone: dynamic INT8 makes them about
    five times slower. One scale serves the whole batch, so an
    answer depends on its batch-mates; the gate's batch invariance check is there to find out how much.
    """

    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")
    takes: ClassVar[str] = "onnx"
    gives: ClassVar[str] = "onnx"
    needs: ClassVar[Need] = Need.NOTHING

    per_channel: bool = True
    exclude: tuple[str, ...] = ()

    def requires(self, source: Path) -> None:
        """A MatMul or Gemm, and the nodes that are to be left alone."""
        if not {"MatMul", "Gemm"} & set(graphs.operators(source)):
            raise NotApplicable("the graph has no MatMul or Gemm: dynamic INT8 has nothing to quantize")
        graphs.check_outputs(source, self.exclude)

    def apply(self, source: Path, target: Path, calibration: Calibration) -> None:
        """ONNX Runtime's dynamic quantizer; a Gemm becomes a MatMul and an Add."""
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
        from onnxruntime.quantization.quant_utils import QuantizationMode, add_infer_metadata, update_opset_version

        with graphs.told("dynamic quantization"):
            model = update_opset_version(graphs.annotated(source), QuantType.QInt8)
            add_infer_metadata(model)
            excluded = [node.name for node in model.graph.node if set(node.output[:1]) & set(self.exclude)]
            excluded += [f"{name}_MatMul" for name in excluded]  # what the quantizer calls the product of a Gemm
            quantizer = ONNXQuantizer(
                model, self.per_channel, False, QuantizationMode.IntegerOps, False, QuantType.QInt8, QuantType.QUInt8, None,
                [], excluded, ["MatMul"], {"MatMulConstBOnly": True},
            )  # fmt: skip
            quantizer.quantize_model()
            quantizer.model.topological_sort()
            graphs.write(quantizer.model.model, target)

    def ensures(self, source: Path, target: Path) -> None:
        """It opens, has integer products, and the same inputs and outputs."""
        if not {"MatMulInteger", "DynamicQuantizeMatMul"} & set(graphs.operators(target)):
            raise NotApplicable("the graph has no MatMul or Gemm with constant weights: dynamic INT8 has nothing to quantize")
        graphs.ensure_replaces(target, source)
