"""ONNX Runtime's own graph optimizations, saved: folded constants, fused operators, removed no-ops."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from fdpipe import graphs
from fdpipe.interfaces import Calibration, Need


class Level(StrEnum):
    """How far: `basic` stays within ONNX's own operators, `extended` also uses ONNX Runtime's fused ones, `all` also lays
    tensors out for the processor at hand."""

    BASIC = "basic"
    EXTENDED = "extended"
    ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Fuse:
    """Optimize up to `level`.

    A file of level `all` holds the layout of the machine that made it and may be refused by another; the runtime applies
    that level anyway when it loads a model, so `extended` is the default. Before a quantizer use `basic`: quantizers do not
    know the fused operators.
    """

    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")
    takes: ClassVar[str] = "onnx"
    gives: ClassVar[str] = "onnx"
    needs: ClassVar[Need] = Need.NOTHING

    level: Level = Level.EXTENDED

    def requires(self, source: Path) -> None:
        """Nothing: any model may be optimized."""

    def apply(self, source: Path, target: Path, calibration: Calibration) -> None:
        """Load the model at that level on the processor, and have it saved."""
        import onnxruntime

        options = graphs.options_for(source)
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, f"ORT_ENABLE_{self.level.name}")
        options.optimized_model_filepath = str(target)
        if graphs.has_external_data(source):
            options.add_session_config_entry("session.optimized_model_external_initializers_file_name", f"{target.name}.data")
        with graphs.told("optimizing with ONNX Runtime"):
            graph = graphs.with_shapes(source).SerializeToString()
            onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        graphs.drop_unused_domains(target)

    def ensures(self, source: Path, target: Path) -> None:
        """It opens, with the same inputs and outputs."""
        graphs.ensure_replaces(target, source)
