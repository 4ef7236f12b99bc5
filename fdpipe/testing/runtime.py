"""The fake runtime."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.artifacts import Artifact, Unsupported
from fdpipe.errors import Incompatible, MissingExtra, StageError
from fdpipe.interfaces import Session
from fdpipe.testing.model import FakeModel, answer


@dataclass(frozen=True, kw_only=True)
class FakeRuntime:
    """Runs the fake model; with `missing` it is not installed, with `elsewhere` what it makes cannot be run here, for that
    reason. `leaves` names the operators that its device does not take."""

    packages: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[tuple[str, ...]] = ("onnx",)

    missing: str = ""
    elsewhere: str = ""
    leaves: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise `MissingExtra` if it plays the missing one."""
        if self.missing:
            raise MissingExtra(f"{self.missing}: pip install 'fdpipe[fake]'")

    def absent(self) -> str | None:
        """The reason that it was given, if any."""
        return self.elsewhere or None

    def unsupported(self, artifact: Artifact) -> tuple[Unsupported, ...]:
        """One node of each operator that it leaves."""
        return _nodes(self.leaves)

    def sessions(self) -> tuple[Session, ...]:
        """One."""
        return ({},)

    def ready(self, model: Artifact, folder: Path) -> Artifact:
        """The same."""
        return model

    def open(self, artifact: Artifact, session: Session) -> "FakeEngine":
        """Read the file; `StageError` where it is to be run elsewhere."""
        if self.elsewhere:
            raise StageError(f"{artifact.path.name} cannot be run here: {self.elsewhere}")
        return FakeEngine(FakeModel.load(artifact.path))


def _nodes(operators: tuple[str, ...]) -> tuple[Unsupported, ...]:
    return tuple(Unsupported(node=f"{name}_0", operator=name, reason="the fake device has none") for name in operators)


class FakeEngine:
    """An opened fake model."""

    def __init__(self, model: FakeModel) -> None:
        self.model = model
        self.is_open = True

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        """The answers, as late as the model says."""
        ends = time.perf_counter_ns() + self.model.microseconds * 1e3
        answers = answer(batch, self.model.wrong_percent, self.model.flaw)
        while time.perf_counter_ns() < ends:
            pass
        return answers

    def close(self) -> None:
        """Remember it."""
        self.is_open = False


@dataclass(frozen=True, kw_only=True)
class FakeBuilder(FakeRuntime):
    """Builds an engine, which is the fake model again; it takes none where it `lacks` operators."""

    makes: ClassVar[str] = "engine"

    lacks: tuple[str, ...] = ()

    def ready(self, model: Artifact, folder: Path) -> Artifact:
        """The model as an engine; `Incompatible` where it lacks operators."""
        if self.lacks:
            raise Incompatible(f"there is no operator {', '.join(self.lacks)}", _nodes(self.lacks))
        return replace(model, kind=self.makes)


@dataclass(frozen=True, kw_only=True)
class HeavyRuntime(FakeRuntime):
    """Takes `held_mib` of memory while a model is open."""

    held_mib: int = 100

    def open(self, artifact: Artifact, session: Session) -> "HeavyEngine":
        """Read the file."""
        return HeavyEngine(FakeModel.load(artifact.path), self.held_mib)


class HeavyEngine(FakeEngine):
    """An opened fake model that takes memory."""

    def __init__(self, model: FakeModel, held_mib: int) -> None:
        super().__init__(model)
        self.held = np.ones(held_mib << 17)
