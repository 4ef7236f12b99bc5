"""What every trial of a run starts from, and how a step of the line is called."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ParamSpec, Protocol, TypeVar

from fdpipe.artifacts import Baseline, Data, Evaluation, SourceModel
from fdpipe.interfaces import Slicer
from fdpipe.stages.beside import Beside

P = ParamSpec("P")
T = TypeVar("T")


class Call(Protocol):
    """How a step of the line is called: directly, or as a task of an orchestrator. `progress.name_of` says its name."""

    def __call__(self, step: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...


@dataclass(frozen=True, kw_only=True)
class Given:
    """What every trial of a run starts from."""

    model: SourceModel
    baseline: Baseline
    data: Data
    incumbent: Evaluation | None = None
    incumbent_release: str | None = None

    def beside(self, slicer: Mapping[str, Slicer], corruptions: Iterable[str] = ()) -> Beside:
        """What the gate judges candidates beside."""
        return Beside(
            rows=self.data.evaluation, task=self.baseline.task, reference=self.baseline.reference, slicer=slicer,
            incumbent=self.incumbent, incumbent_release=self.incumbent_release, corruptions=tuple(corruptions),
        )  # fmt: skip
