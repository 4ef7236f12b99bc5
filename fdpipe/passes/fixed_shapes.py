"""Fixed shapes: symbolic axes other than the rows become numbers, for engines that plan or specialize by shape."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from fdpipe import graphs
from fdpipe.errors import NotApplicable
from fdpipe.interfaces import Calibration, Need

if TYPE_CHECKING:
    from onnx import ModelProto

ROWS = "rows"


@dataclass(frozen=True, kw_only=True)
class FixedShapes:
    """Give each axis of `axes`, by the word that the model's inputs have for it, its length.

    The rows stay symbolic: a service answers any number of them. Batches are brought to these lengths by who makes them.
    """

    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")
    takes: ClassVar[str] = "onnx"
    gives: ClassVar[str] = "onnx"
    needs: ClassVar[Need] = Need.NOTHING

    axes: Mapping[str, int] = field(default_factory=lambda: {"sequence": 128})

    def __post_init__(self) -> None:
        """Axes, each with a length."""
        if not self.axes:
            raise ValueError("axes must name at least one, as {sequence: 128}")
        if ROWS in self.axes:
            raise ValueError("axes must not name rows: a service answers any number of them")
        if short := [name for name, length in self.axes.items() if length < 1]:
            raise ValueError(f"axes must be 1 or more long, and {short[0]} is {self.axes[short[0]]}")

    def requires(self, source: Path) -> None:
        """Every axis, among the inputs'."""
        inputs, _ = graphs.specs(source)
        found = sorted({axis for one in inputs for axis in one.shape if isinstance(axis, str)} - {ROWS})
        if unknown := sorted(set(self.axes) - set(found)):
            there = f"it has {', '.join(found)}" if found else "all but the rows are fixed"
            raise NotApplicable(f"the graph has no symbolic axis {unknown[0]!r} to fix: {there}")

    def apply(self, source: Path, target: Path, calibration: Calibration) -> None:
        """Write the lengths down, and infer every shape that follows from them."""
        with graphs.told("fixing shapes"):
            model = graphs.read(source)
            self._fix(model)
            del model.graph.value_info[:]
            graphs.write(graphs.inferred(model), target)

    def _fix(self, model: "ModelProto") -> None:
        for value in (*model.graph.input, *model.graph.output):
            for place, axis in enumerate(value.type.tensor_type.shape.dim):
                length = self.axes.get(axis.dim_param or f"{value.name}_{place}")
                if length is not None and not axis.HasField("dim_value"):
                    axis.dim_value = length

    def ensures(self, source: Path, target: Path) -> None:
        """It opens, its inputs have these lengths, and all else is as it was."""
        before, after = graphs.specs(source)[0], graphs.specs(target)[0]
        wanted = [tuple(self.axes.get(axis, axis) if isinstance(axis, str) else axis for axis in one.shape) for one in before]
        if wanted != [one.shape for one in after]:
            raise NotApplicable("the new model's inputs have other shapes than were asked for")
        graphs.ensure_opens(target)
