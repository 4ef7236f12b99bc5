"""The original itself, asked by MLflow's python_function in a process of its own and, if need be, an environment of its own."""

import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fdpipe import extras, isolation, pyfunc
from fdpipe.arrays import Batch
from fdpipe.artifacts import Artifact, ModelRef, SourceModel
from fdpipe.errors import OriginalLost, StageError
from fdpipe.interfaces import Engine, Session
from fdpipe.mlmodel import describe
from fdpipe.plan import Conversion, Isolation

if TYPE_CHECKING:
    from fdpipe.isolation.process import Isolated


@dataclass(frozen=True, kw_only=True)
class Pyfunc:
    """`isolation` is as for converters: `process`, or `venv` for an environment of the model's own requirements. A call may
    take `seconds`, its process `memory_gib`; one that was lost is started again by the next call."""

    packages: ClassVar[tuple[str, ...]] = pyfunc.PACKAGES
    exporter: ClassVar[tuple[str, ...]] = pyfunc.EXPORTER
    kinds: ClassVar[tuple[str, ...]] = ("mlflow",)

    isolation: Isolation = Isolation.PROCESS
    seconds: float = 60.0
    memory_gib: float = 16.0

    def check(self) -> None:
        """`MissingExtra` where MLflow's loader is not installed, and no environment is built that has it."""
        if self.isolation is not Isolation.VENV:
            extras.require("mlflow.pyfunc", extra="")

    def absent(self) -> str | None:
        """None: what it opens, it runs."""
        return None

    def sessions(self) -> tuple[Session, ...]:
        """One: there is nothing to set but the threads, which the original's library may heed."""
        return ({},)

    def ready(self, model: Artifact, folder: Path) -> Artifact:
        """The same artifact: the original is opened as it is."""
        return model

    def open(self, artifact: Artifact, session: Session) -> Engine:
        """Start its process and load it there; `StageError` for what cannot be loaded."""
        if artifact.kind != "mlflow":
            raise StageError(f"pyfunc opens an MLflow model, not {artifact.kind}: {artifact.path.name}")
        if unknown := sorted(set(session) - {"threads"}):
            raise StageError(f"pyfunc knows no session setting {unknown[0]!r}: it has threads")
        how = Conversion(isolation=self.isolation, seconds=self.seconds, memory_gib=self.memory_gib)
        ref = ModelRef(name="original", version="", uri="", digest=artifact.digest)
        return PyfuncEngine(self, describe(ref, artifact.path, trusted=True), how)

    def risk(self, model: SourceModel) -> str:
        """As its converter has it; what was released was trusted."""
        return pyfunc.RISK

    def load(self, model: SourceModel) -> Any:  # noqa: ANN401 - MLflow's own type
        """MLflow's `PyFuncModel`, in the original's process."""
        return pyfunc.load(model)

    def predict(self, model: SourceModel, original: Any, features: Batch) -> dict[str, np.ndarray]:  # noqa: ANN401
        """Its own answers, in the original's process."""
        return pyfunc.ask(model, original, features)


class PyfuncEngine:
    """An original in its process; any number of threads may ask it, and are answered one after the other."""

    def __init__(self, worker: Pyfunc, model: SourceModel, how: Conversion) -> None:
        self._worker, self._model, self._how = worker, model, how
        self._turn = threading.Lock()
        self._scratch: Path | None = None
        self._original: Isolated | None = None
        self._closed = False
        self._opened()

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        """Its answers by name; `StageError` for rows that it refuses and a closed engine."""
        with self._turn:
            if self._closed:
                raise StageError("the model is closed")
            try:
                return self._opened().predict(batch)
            except OriginalLost:
                self._end()
                raise

    def close(self) -> None:
        """End the process."""
        with self._turn:
            self._closed = True
            self._end()

    def _opened(self) -> "Isolated":
        """The original, started again where its process has died since the last call."""
        if self._original is not None and not self._original.is_alive:
            self._end()
        if self._original is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="fdpipe-original-"))
            try:
                self._original = isolation.isolated(
                    self._worker, self._model, self._how, self._scratch, seconds=self._how.seconds
                )
            except BaseException:
                self._end()
                raise
        return self._original

    def _end(self) -> None:
        if self._original is not None:
            self._original.close()
            self._original = None
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
