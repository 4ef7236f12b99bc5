"""Constant folding, shape inference, and removal of what nothing reads or what is there twice, by onnxslim."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fdpipe import extras, graphs
from fdpipe.interfaces import Calibration, Need


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Calculate beforehand what does not depend on the inputs, and drop what is dead. Folded tensors of more than
    `largest_bytes` stay calculated, so that the file does not grow.

    Only ONNX's own operators come out: every engine reads them, and quantizers know them.
    """

    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime", "onnxslim")
    takes: ClassVar[str] = "onnx"
    gives: ClassVar[str] = "onnx"
    needs: ClassVar[Need] = Need.NOTHING

    largest_bytes: int = 2**24

    def __post_init__(self) -> None:
        """A size."""
        if self.largest_bytes < 1:
            raise ValueError("largest_bytes must be above 0")

    def requires(self, source: Path) -> None:
        """Nothing: any model may be folded. `MissingExtra` where onnxslim is not installed."""
        extras.require("onnxslim", extra="optimize")

    def apply(self, source: Path, target: Path, calibration: Calibration) -> None:
        """Slim the model until nothing changes any more."""
        onnxslim = extras.require("onnxslim", extra="optimize")
        with graphs.told("folding with onnxslim"), _quiet():
            model = graphs.read(source)
            interface = [list(model.graph.input), list(model.graph.output)]
            made = onnxslim.slim(model, size_threshold=self.largest_bytes)
            for values, given in zip((made.graph.input, made.graph.output), interface, strict=True):
                kinds = {value.name: value for value in given}
                for value in values:
                    value.CopyFrom(kinds.get(value.name, value))
            graphs.write(made, target)

    def ensures(self, source: Path, target: Path) -> None:
        """It opens, with the same inputs and outputs."""
        graphs.ensure_replaces(target, source)


@contextmanager
def _quiet() -> Iterator[None]:
    """onnxslim sets up a log handler of its own at each call."""
    log = logging.getLogger("onnxslim")
    handlers, level, passes_on = list(log.handlers), log.level, log.propagate
    try:
        yield
    finally:
        log.handlers, log.propagate = handlers, passes_on
        log.setLevel(level)
