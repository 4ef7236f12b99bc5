"""The fake runtime."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.artifacts import (
    Artifact,
)
from fdpipe.errors import MissingExtra
from fdpipe.interfaces import Session
from fdpipe.testing.model import FakeModel, answer


@dataclass(frozen=True, kw_only=True)
class FakeRuntime:
    """Runs the fake model; with `missing` it is not installed, for that reason."""

    packages: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[tuple[str, ...]] = ("onnx",)

    missing: str = ""

    def check(self) -> None:
        """Raise `MissingExtra` if it plays the missing one."""
        if self.missing:
            raise MissingExtra(f"{self.missing}: pip install 'fdpipe[fake]'")

    def absent(self) -> str | None:
        """None: what it opens, it runs."""
        return None

    def sessions(self) -> tuple[Session, ...]:
        """One."""
        return ({},)

    def ready(self, model: Artifact, folder: Path) -> Artifact:
        """The same."""
        return model

    def open(self, artifact: Artifact, session: Session) -> "FakeEngine":
        """Read the file."""
        return FakeEngine(FakeModel.load(artifact.path))


class FakeEngine:
    """An opened fake model."""

    def __init__(self, model: FakeModel) -> None:
        self.model = model
        self.is_open = True

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        """The answers, as late as the model says."""
        ends = time.perf_counter_ns() + self.model.microseconds * 1e3
        answers = answer(batch, self.model.wrong_percent)
        while time.perf_counter_ns() < ends:
            pass
        return answers

    def close(self) -> None:
        """Remember it."""
        self.is_open = False


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
