"""Static INT8: weights and activations quantized beforehand, with scales from calibration."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fdpipe import graphs
from fdpipe.artifacts import Ranges
from fdpipe.errors import NotApplicable
from fdpipe.interfaces import Calibration, Need

if TYPE_CHECKING:
    from onnx import ModelProto
    from onnxruntime.quantization.calibrate import TensorsData

QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")

PER_CHANNEL_OPSET = 13
"""The version of ONNX's operators since which a scale may be one of several: older models are brought to it."""

PASSING_ON = ("Relu", "Clip", "MaxPool", "AveragePool", "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze")
"""Operators that work on 8 bits where their input has them already."""

BETWEEN_CONVOLUTIONS = ("Add", "Concat", "GlobalAveragePool")
"""Operators that keep a convolutional network in 8 bits from end to end; elsewhere they cost accuracy and gain nothing."""


class Form(StrEnum):
    """How a quantized graph is written: float operators between Quantize and DequantizeLinear, which each engine fuses its own
    way, or ONNX's and ONNX Runtime's integer operators, as QLinearConv."""

    QDQ = "qdq"
    OPERATORS = "operators"


class Integers(StrEnum):
    """The type of quantized activations."""

    UINT8 = "uint8"
    INT8 = "int8"


@dataclass(frozen=True, kw_only=True)
class Int8Static:
    """Quantize the `operators`: symmetric int8 weights, `per_channel` or with one scale a tensor, and their inputs.

    On x86, `activations` must be uint8: its products of 8 bits take one unsigned factor, and ONNX Runtime has no fast way
    around for two signed ones. Accelerators want int8, `activation_symmetric` (zero is 0), and TensorRT moreover biases in
    float (`quantize_bias` false) and a DequantizeLinear for each reader (`dedicated`).

    Left in float unless asked for: what MatMul and Gemm give (`outputs`), since that is what answers, or a bias, are made of;
    and products of two activations (`products`), as attention has. `exclude` leaves nodes alone by their first outputs.
    `reduce_range` uses 7 bits for weights: on processors without VNNI, the sum of two products of 8 bits saturates.
    In the form `operators` each product gives 8 bits, whatever `outputs` says; MatMul there has one scale for each column.
    """

    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")
    takes: ClassVar[str] = "onnx"
    gives: ClassVar[str] = "onnx"
    needs: ClassVar[Need] = Need.RANGES

    form: Form = Form.QDQ
    per_channel: bool = True
    reduce_range: bool = False
    operators: tuple[str, ...] = ("Conv", "Gemm", "MatMul")
    activations: Integers = Integers.UINT8
    activation_symmetric: bool = False
    outputs: bool = False
    products: bool = False
    quantize_bias: bool = True
    dedicated: bool = False
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Something to quantize, in a form that knows its settings."""
        if not self.operators:
            raise ValueError("operators must name at least one")
        if self.form is Form.OPERATORS and (self.dedicated or not self.quantize_bias):
            raise ValueError("dedicated and quantize_bias=false are for form=qdq: integer operators have integer biases")

    def requires(self, source: Path) -> None:
        """One of the operators, no quantized tensor yet, and the nodes that are to be left alone."""
        if set(QUANTIZED) & set(graphs.operators(source)):
            raise NotApplicable("the graph is quantized already")
        if not set(self.operators) & set(graphs.operators(source)):
            raise NotApplicable(f"the graph has no {_either(self.operators)}: static INT8 has nothing to quantize")
        graphs.check_outputs(source, self.exclude)

    def apply(self, source: Path, target: Path, calibration: Calibration) -> None:
        """ONNX Runtime's quantizer of that form, with our ranges."""
        from onnxruntime.quantization.quant_utils import add_infer_metadata

        if calibration.ranges is None:
            raise NotApplicable("static INT8 needs ranges: name a calibrator and calibration rows")
        with graphs.told("static quantization"):
            model = graphs.raised(graphs.annotated(source), PER_CHANNEL_OPSET)
            _flatten_biases(model)
            add_infer_metadata(model)
            quantizer = self._quantizer(model, _tensors_data(model, calibration.ranges))
            quantizer.quantize_model()
            quantizer.model.topological_sort()
            graphs.write(quantizer.model.model, target)

    def _quantizer(self, model: "ModelProto", ranges: "TensorsData") -> Any:  # noqa: ANN401 - one of two classes without types
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
        from onnxruntime.quantization.quant_utils import QuantizationMode

        activations = QuantType.QUInt8 if self.activations is Integers.UINT8 else QuantType.QInt8
        options: dict[str, object] = {"ActivationSymmetric": self.activation_symmetric}
        excluded, operators = self._left_alone(model), self._quantized(model)
        if self.form is Form.OPERATORS:
            return ONNXQuantizer(
                model, self.per_channel, self.reduce_range, QuantizationMode.QLinearOps, True, QuantType.QInt8, activations,
                ranges, [], excluded, operators, options,
            )  # fmt: skip
        options |= {"QuantizeBias": self.quantize_bias, "DedicatedQDQPair": self.dedicated}
        options |= {} if self.outputs else {"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]}
        return QDQQuantizer(
            model, self.per_channel, self.reduce_range, QuantType.QInt8, activations, ranges, [], excluded, operators, options
        )

    def _quantized(self, model: "ModelProto") -> list[str]:
        has_convolutions = any(node.op_type == "Conv" for node in model.graph.node)
        return [*self.operators, *PASSING_ON, *(BETWEEN_CONVOLUTIONS if has_convolutions else ())]

    def _left_alone(self, model: "ModelProto") -> list[str]:
        """The names of the excluded nodes and, unless they are wanted, of products of two activations."""
        weights = {tensor.name for tensor in model.graph.initializer}
        two = [] if self.products else [node for node in model.graph.node if node.op_type == "MatMul"]
        found = [node.name for node in two if not weights & set(node.input)]
        return found + [node.name for node in model.graph.node if set(node.output[:1]) & set(self.exclude)]

    def ensures(self, source: Path, target: Path) -> None:
        """It opens, quantizes, and has the same inputs and outputs."""
        if "QuantizeLinear" not in graphs.operators(target):
            raise NotApplicable(f"no {_either(self.operators)} of the graph can be quantized")
        graphs.ensure_replaces(target, source)


def _flatten_biases(model: "ModelProto") -> None:
    """Write a Gemm's bias of shape (1, n), as scikit-learn's models have, as (n): the quantizer fails on the former."""
    readers: dict[str, set[str]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, set()).add(node.op_type)
    biases = {node.input[2] for node in model.graph.node if node.op_type == "Gemm" and len(node.input) == 3}
    for tensor in model.graph.initializer:
        if tensor.name in biases and readers[tensor.name] == {"Gemm"} and len(tensor.dims) == 2 and tensor.dims[0] == 1:
            del tensor.dims[0]


def _tensors_data(model: "ModelProto", ranges: Ranges) -> "TensorsData":
    """The ranges as the quantizer takes them: scalars of each tensor's own float type."""
    from onnx import helper
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData

    tensors = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    kinds = {value.name: value.type.tensor_type.elem_type for value in tensors if value.type.HasField("tensor_type")}
    types = {name: helper.tensor_dtype_to_np_dtype(kind) for name, kind in kinds.items()}
    data = {
        name: TensorData(lowest=np.asarray(low, types[name]), highest=np.asarray(high, types[name]))
        for name, (low, high) in ranges.values.items()
        if types.get(name) in (np.float32, np.float16)
    }
    return TensorsData(CalibrationMethod.MinMax, data)


def _either(names: tuple[str, ...]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
