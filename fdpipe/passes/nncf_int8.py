"""Static INT8 for OpenVINO, by NNCF's post-training quantization on the calibration rows."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from fdpipe import graphs
from fdpipe.arrays import Batch, rows_in, take
from fdpipe.errors import NotApplicable
from fdpipe.interfaces import Calibration, Need
from fdpipe.openvino import quantizer
from fdpipe.passes._openvino_graphs import (
    attention_products,
    ensure_replaces,
    made_of,
    operators,
    read,
    told,
    write,
)

AUTO, TRANSFORMER, NONE = MODEL_TYPES = ("auto", "transformer", "none")
FAST, LAYERWISE = "fast", "layerwise"
CORRECTIONS = (AUTO, FAST, LAYERWISE, NONE)
EXTREMES = "extremes"
RANGES = (EXTREMES, "means")
PRESETS = ("auto", "performance", "mixed")

QUANTIZED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True, kw_only=True)
class NncfInt8:
    """NNCF's `quantize` on at most `samples` of the calibration rows, a batch in memory at a time.

    `model_type` says which patterns are looked for: `transformer`, `none`, or `auto`, which finds attention in the graph.
    `preset` makes activations symmetric (`performance`) or asymmetric (`mixed`); `auto` is NNCF's choice for the type.
    `ranges` are the `extremes` of all rows, or the `means` of each batch's. `smooth_quant_alpha`, from 0 to 1, moves outliers
    of a transformer's activations into the weights (SmoothQuant, arXiv:2211.10438), none if negative. `bias_correction` is
    `fast` (each layer by itself), `layerwise` (each behind those that are quantized before it, which takes many times
    longer), `none`, or `auto`: none for a transformer, which gains nothing by it. The products of two activations inside
    attention stay in float unless `attention` is set: their ranges differ too much from row to row. Nodes in `exclude` stay
    in float.
    """

    packages: ClassVar[tuple[str, ...]] = ("openvino", "nncf")
    takes: ClassVar[str] = "onnx"
    gives: ClassVar[str] = "openvino"
    needs: ClassVar[Need] = Need.ROWS

    model_type: str = AUTO
    preset: str = "mixed"
    samples: int = 128
    ranges: str = EXTREMES
    bias_correction: str = AUTO
    smooth_quant_alpha: float = 0.8
    attention: bool = False
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Choices and ranges."""
        for name, known in (
            ("model_type", MODEL_TYPES),
            ("preset", PRESETS),
            ("ranges", RANGES),
            ("bias_correction", CORRECTIONS),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        if self.samples < 1:
            raise ValueError("samples must be at least 1")
        if self.smooth_quant_alpha > 1:
            raise ValueError("smooth_quant_alpha must be from 0 to 1, or negative for none")

    def requires(self, source: Path) -> None:
        """A product or a convolution, no quantized tensor yet, and nodes of the names in `exclude`."""
        found = set(graphs.operators(source))
        if {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"} & found:
            raise NotApplicable("the graph is quantized already")
        if not set(QUANTIZED) & found:
            raise NotApplicable("the graph has no Conv, Gemm or MatMul: NNCF has nothing to quantize")
        graphs.check_outputs(source, self.exclude)

    def apply(self, source: Path, target: Path, calibration: Calibration) -> None:
        """Read the ONNX file with OpenVINO, quantize it and write `target` with its weights beside it."""
        if calibration.batches is None:
            raise NotApplicable("NNCF needs calibration rows: set data.calibration")
        with quantizer() as nncf, told("NNCF's quantization"):
            model = read(source)
            products = attention_products(model)
            excluded = made_of(model, self.exclude)
            is_transformer = self.model_type == TRANSFORMER or (self.model_type == AUTO and bool(products))
            quantized = nncf.quantize(
                model,
                nncf.Dataset(_Rows(calibration.batches, self.samples)),
                preset=None if self.preset == AUTO else nncf.QuantizationPreset(self.preset),
                subset_size=self.samples,
                fast_bias_correction=self.bias_correction != LAYERWISE,
                model_type=nncf.ModelType.TRANSFORMER if is_transformer else None,
                ignored_scope=nncf.IgnoredScope(
                    names=sorted({*excluded, *(() if self.attention else products)}), validate=False
                ),
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    activations_range_estimator_params=_ranges(nncf, self.ranges),
                    disable_bias_correction=self.bias_correction == NONE or (is_transformer and self.bias_correction == AUTO),
                    smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(matmul=self.smooth_quant_alpha),
                ),
            )
            write(quantized, target)

    def ensures(self, source: Path, target: Path) -> None:
        """It has quantized tensors, and the same inputs and outputs."""
        if "FakeQuantize" not in operators(target):
            raise NotApplicable("NNCF found no Conv, Gemm or MatMul that can be quantized")
        ensure_replaces(target, source)


def _ranges(nncf: Any, how: str) -> Any:  # noqa: ANN401 - of nncf
    known = nncf.quantization.range_estimator.RangeEstimatorParametersSet
    return known.MINMAX if how == EXTREMES else known.MEAN_MINMAX


class _Rows:
    """The first `samples` rows of the batches, as often as they are asked for."""

    def __init__(self, batches: Callable[[], Iterable[Batch]], samples: int) -> None:
        self._batches, self._samples = batches, samples

    def __iter__(self) -> Iterator[dict[str, Any]]:
        left = self._samples
        for batch in self._batches():
            yield dict(take(batch, slice(0, left)))
            left -= rows_in(batch)
            if left <= 0:
                return
