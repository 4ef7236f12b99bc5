"""Fake runtimes whose models fail on the way, and one that keeps a diary, for what runs in another process."""

import os
import signal
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.artifacts import Artifact
from fdpipe.errors import StageError
from fdpipe.interfaces import Session
from fdpipe.testing.model import FakeModel
from fdpipe.testing.runtime import FakeEngine, FakeRuntime


class Fault(StrEnum):
    """What a model does instead of answering: it ends its process, answers never, or raises."""

    DIES = "dies"
    HANGS = "hangs"
    RAISES = "raises"


@dataclass(frozen=True, kw_only=True)
class FaultyRuntime(FakeRuntime):
    """Opens models that answer `calls` times, and then have the fault; with none they have it while they are opened."""

    fault: Fault
    calls: int = 0

    def open(self, artifact: Artifact, session: Session) -> "FaultyEngine":
        """Read the file."""
        if not self.calls:
            fail(self.fault)
        return FaultyEngine(FakeModel.load(artifact.path), self.fault, self.calls)


class FaultyEngine(FakeEngine):
    """An opened fake model that is to fail."""

    def __init__(self, model: FakeModel, fault: Fault, calls: int) -> None:
        super().__init__(model)
        self._fault, self._left = fault, calls

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        """The answers, while there are any."""
        if not self._left:
            fail(self._fault)
        self._left -= 1
        return super().run(batch)


def fail(fault: Fault) -> None:
    """As the fault is."""
    if fault is Fault.RAISES:
        raise StageError("it was made to fail")
    if fault is Fault.HANGS:
        time.sleep(3600)
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, kw_only=True)
class DiaryRuntime(FakeRuntime):
    """Notes in a file, a line each, that a model was opened, the rows and columns of every call, and that it was closed, and
    before each the process."""

    diary: Path

    def open(self, artifact: Artifact, session: Session) -> "DiaryEngine":
        """Read the file."""
        return DiaryEngine(FakeModel.load(artifact.path), self.diary)


class DiaryEngine(FakeEngine):
    """An opened fake model that keeps a diary."""

    def __init__(self, model: FakeModel, diary: Path) -> None:
        super().__init__(model)
        self._diary = diary
        self._note("open")

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        """The answers to the first four columns, or to as many as there are, over and over."""
        rows, columns = batch["x"].shape
        self._note(f"{rows}x{columns}")
        return super().run({"x": np.resize(batch["x"][:, :4], (rows, 4))})

    def close(self) -> None:
        """Note it."""
        self._note("close")
        super().close()

    def _note(self, what: str) -> None:
        with self._diary.open("a") as file:
            file.write(f"{os.getpid()} {what}\n")
