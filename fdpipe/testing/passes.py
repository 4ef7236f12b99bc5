"""The fake pass and quantizer."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from fdpipe.errors import NotApplicable
from fdpipe.interfaces import Calibration, Need
from fdpipe.testing.model import FakeModel


@dataclass(frozen=True, kw_only=True)
class FakePass:
    """Makes a model that takes `share` of the time, answers `wrong_percent` more of the rows wrongly, has a `flaw` and a file
    of `weight` more bytes; or it refuses the model for the reason `refuses`, or breaks down with `breaks`."""

    packages: ClassVar[tuple[str, ...]] = ()
    takes: ClassVar[str] = "onnx"
    gives: ClassVar[str] = "onnx"
    needs: ClassVar[Need] = Need.NOTHING

    share: float = 1.0
    wrong_percent: int = 0
    flaw: str = ""
    weight: int = 0
    refuses: str = ""
    breaks: str = ""

    def requires(self, source: Path) -> None:
        """Any model, unless it refuses."""
        if self.refuses:
            raise NotApplicable(self.refuses)

    def apply(self, source: Path, target: Path, calibration: Calibration) -> None:
        """Write the other model."""
        if self.breaks:
            raise RuntimeError(self.breaks)
        model = FakeModel.load(source)
        replace(
            model,
            wrong_percent=model.wrong_percent + self.wrong_percent,
            microseconds=model.microseconds * self.share,
            flaw=self.flaw or model.flaw,
            weight=model.weight + self.weight,
        ).save(target)

    def ensures(self, source: Path, target: Path) -> None:
        """The model can be read."""
        FakeModel.load(target)


@dataclass(frozen=True, kw_only=True)
class FakeQuantizer(FakePass):
    """A pass that uses ranges."""

    needs: ClassVar[Need] = Need.RANGES

    def apply(self, source: Path, target: Path, calibration: Calibration) -> None:
        """Write the other model; it must get ranges."""
        if calibration.ranges is None:
            raise NotApplicable("there are no ranges")
        super().apply(source, target, calibration)
