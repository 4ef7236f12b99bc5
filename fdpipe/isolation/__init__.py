"""The original, kept apart: it is loaded, exported and asked where it can do no harm, and never unless it may."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel
from fdpipe.errors import ConversionError
from fdpipe.interfaces import Converter, Export, Loader

if TYPE_CHECKING:
    from fdpipe.isolation.process import Isolated
    from fdpipe.plan import Conversion


class Original(Protocol):
    """An original that is open. `ConversionError` for what it refuses; after `OriginalLost` it can be asked no more."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Which of its converter's packages are installed where it is, by name."""

    def export(self, folder: Path, precision: Precision) -> Export:
        """What its converter makes of it, in `folder`, which is empty."""

    def predict(self, features: Batch) -> dict[str, np.ndarray]:
        """Its own answers."""


@contextmanager
def opened(converter: Converter, model: SourceModel, how: "Conversion", scratch: Path) -> Iterator[Original]:
    """The model loaded by its converter; `scratch` is an empty folder for what is needed meanwhile.

    `ConversionError` for a model that holds code and is not trusted; or is, where it cannot be isolated. In this very
    process, which is for debugging, a trusted model is loaded without that.
    """
    if how.isolation == "in_process":
        refuse_code(converter, model)
        yield Here(converter, model, converter.load(model))
        return
    with isolated(converter, model, how, scratch, seconds=how.seconds) as original:
        yield original


def isolated(converter: Loader, model: SourceModel, how: "Conversion", scratch: Path, *, seconds: float | None) -> "Isolated":
    """The same in a child process whatever `how` says, to be closed by the caller, for as many calls as one likes; with
    None for `seconds` each may take as long as it takes."""
    from fdpipe.isolation.launch import Limits
    from fdpipe.isolation.process import Isolated

    refuse_code(converter, model)
    python = None
    if how.isolation == "venv":
        from fdpipe.isolation import environments

        python = environments.interpreter(converter, model, how.installer)
    limits = Limits(seconds=seconds, memory_gib=how.memory_gib, written_gib=how.written_gib)
    return Isolated(converter, model, limits, scratch, python)


@cache
def lacking() -> tuple[str, ...]:
    """What this machine lacks to confine a child process, in words; none where all is well. Tried once."""
    import json
    import subprocess
    import sys

    from fdpipe.sandbox import probe

    command = [sys.executable, "-P", "-m", probe.__name__]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        return (f"the probe ended with exit code {done.returncode}",)
    return tuple(json.loads(done.stdout))


def refuse_code(converter: Loader, model: SourceModel) -> None:
    """`ConversionError` where loading the model may run code that it holds, unless the user trusts it."""
    if (risk := converter.risk(model)) and not model.trusted:
        name = model.ref.name
        raise ConversionError(f"{name} holds code, {risk}: loading it would run that; if you trust it, say source.trust={name}")


@dataclass(frozen=True)
class Here:
    """An original in this very process."""

    converter: Converter
    model: SourceModel
    loaded: Any

    @property
    def versions(self) -> Mapping[str, str]:
        """Of this environment."""
        from fdpipe.isolation.child import versions_of

        return versions_of(self.converter.packages)

    def export(self, folder: Path, precision: Precision) -> Export:
        """Call the converter."""
        return self.converter.export(self.model, self.loaded, folder, precision)

    def predict(self, features: Batch) -> dict[str, np.ndarray]:
        """Call the converter."""
        return self.converter.predict(self.model, self.loaded, features)
