"""The library that a model was trained with: XGBoost, LightGBM, CatBoost or scikit-learn, in this very process."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fdpipe import libraries
from fdpipe.arrays import Batch, take
from fdpipe.artifacts import Artifact, TensorSpec
from fdpipe.errors import StageError
from fdpipe.interfaces import Engine, Session
from fdpipe.libraries.answers import line
from fdpipe.libraries.native import Ask


@dataclass(frozen=True, kw_only=True)
class NativeLibrary:
    """No settings of its own; `Settings` are the session's. Which library is needed, the model says."""

    packages: ClassVar[tuple[str, ...]] = libraries.PACKAGES
    kinds: ClassVar[tuple[str, ...]] = (libraries.KIND,)

    def check(self) -> None:
        """Nothing: whether a model's own library is here is found when the model is opened."""

    def absent(self) -> str | None:
        """None: what it opens, it runs."""
        return None

    def sessions(self) -> tuple[Session, ...]:
        """One: the defaults of `Settings`."""
        return ({},)

    def ready(self, model: Artifact, folder: Path) -> Artifact:
        """The same artifact: the library opens its own file as it is."""
        return model

    def open(self, artifact: Artifact, session: Session) -> Engine:
        """Load it with the `Settings` that the session holds; `StageError` for an unknown one or a file that cannot be loaded,
        `MissingExtra` where the model's library is not installed."""
        settings = _settings(session)
        if artifact.kind not in self.kinds:
            raise StageError(f"native opens {libraries.KIND}, not {artifact.kind}: {artifact.path.name}")
        return NativeEngine(artifact, settings.threads or len(os.sched_getaffinity(0)))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The session settings. `threads` work within a call (0: every core that this process may use)."""

    threads: int = 0

    def __post_init__(self) -> None:
        """Type and range."""
        if type(self.threads) is not int or self.threads < 0:
            raise ValueError(f"threads must be a whole number and not negative, not {self.threads!r}")


class NativeEngine:
    """An opened model; any number of threads may ask it. It answers as its export does: names, types, shapes."""

    def __init__(self, artifact: Artifact, threads: int) -> None:
        self._ask: Ask | None = libraries.open_model(artifact.path, threads)
        self._failures = libraries.failures_of(artifact.path)
        self._input = artifact.inputs[0]
        self._dtype = np.dtype(self._input.dtype)
        self._outputs = artifact.outputs

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        """Outputs by name; `StageError` for inputs that do not fit, rows that the library refuses, and a closed engine.

        No rows are asked as one row of nothing, whose answers are dropped: not every library takes them.
        """
        ask = self._ask
        if ask is None:
            raise StageError("the model is closed")
        rows = self._rows(batch)
        try:
            if not len(rows):
                return take(self._answers(ask(np.zeros((1, rows.shape[1]), self._dtype))), slice(0, 0))
            return self._answers(ask(rows))
        except self._failures as error:
            raise StageError(f"the library cannot run the model: {line(error)}") from error

    def close(self) -> None:
        """Drop the model; a call under way ends first."""
        self._ask = None

    def _rows(self, batch: Batch) -> np.ndarray:
        """The only input, its rows one after the other in memory."""
        name, axes = self._input.name, self._input.shape[1:]
        if set(batch) != {name}:
            raise StageError(f"the model has the one input {name!r}, got {', '.join(sorted(batch)) or 'none'}")
        rows = batch[name]
        if rows.dtype != self._dtype or rows.ndim != 2 or (isinstance(axes[0], int) and rows.shape[1] != axes[0]):
            raise StageError(f"{name} must be {self._dtype} of shape (rows, {axes[0]}), got {rows.dtype} of {rows.shape}")
        return np.ascontiguousarray(rows)

    def _answers(self, found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {spec.name: _as_specified(found[spec.name], spec) for spec in self._outputs}


def _as_specified(answer: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """Of the export's type and number of axes."""
    shaped = answer if answer.ndim == len(spec.shape) else answer.reshape(len(answer), *[-1] * (len(spec.shape) - 1))
    return shaped.astype(object if spec.dtype == "string" else spec.dtype, copy=False)


def _settings(session: Mapping[str, Any]) -> Settings:
    known = [item.name for item in fields(Settings)]
    if unknown := sorted(set(session) - set(known)):
        raise StageError(f"native knows no session setting {unknown[0]!r}: it has {', '.join(known)}")
    try:
        return Settings(**session)
    except ValueError as error:
        raise StageError(f"native's session settings: {error}") from error
