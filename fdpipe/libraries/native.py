"""What is known of a model in its library's own file, and what a library must be able to do with one."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from fdpipe.artifacts import SourceModel

Ask = Callable[[np.ndarray], dict[str, np.ndarray]]
"""Rows of shape (rows, features) → answers under the names that an export has them. Thread-safe."""


@dataclass(frozen=True, kw_only=True)
class Native:
    """`native.json`: which library opens the `file` beside it, the model's `kind` in the library's own words, and the classes
    of a classifier whose file has them not."""

    library: str
    file: str
    kind: str = ""
    classes: tuple[int | str, ...] = ()


class Library(Protocol):
    """A library, imported when it is used."""

    @property
    def packages(self) -> tuple[str, ...]:
        """The distributions that bring it."""

    def keep(self, model: SourceModel, folder: Path) -> Native:
        """Write the model's own file into `folder`; `NotApplicable` where it holds code, `MissingExtra` where the library is
        needed for it and not installed."""

    def open(self, path: Path, native: Native, threads: int) -> Ask:
        """The model, which uses so many threads within a call."""

    def failures(self) -> tuple[type[Exception], ...]:
        """What it raises for rows that it does not take."""
