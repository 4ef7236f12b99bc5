"""OpenVINO and NNCF, imported without what they tell their makers; and what they raise."""

import functools
import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from fdpipe import extras

FAILURES = (RuntimeError, ValueError, TypeError, LookupError)
"""OpenVINO has no errors of its own."""

LACKING = "No conversion rule found for operations:"

PLACES = ("Exception from", "Check ", "FrontEnd API failed")
"""How the lines begin that say where in OpenVINO's sources it failed."""

TELEMETRY = "openvino_telemetry"


def library() -> Any:  # noqa: ANN401 - a module
    """The module `openvino`; `MissingExtra` where it is not installed.

    At its first import it would send an event over the network and leave files in the user's home. It does neither where
    the package that does so cannot be imported, and so it is withheld meanwhile.
    """
    with withheld(TELEMETRY):
        return extras.require("openvino", extra="openvino")


@contextmanager
def quantizer() -> Iterator[Any]:
    """The module `nncf`, for as long as it is used; `MissingExtra` where it is not installed.

    NNCF asks of every model whether it is one of torch's, and so would load torch, which takes longer than quantizing: in
    this thread it finds none. Its progress bars are off, and of its log only errors are kept.
    """
    with withheld(TELEMETRY, "torch"):
        kind = logging.getLoggerClass()
        try:
            library()
            nncf = extras.require("nncf", extra="openvino")
        finally:
            logging.setLoggerClass(kind)  # NNCF's own would become that of every log made afterwards
        _silence()
        yield nncf


@functools.cache
def _silence() -> None:
    """NNCF's log goes where all logs go, not to the standard output; and `track`, its bars, has no setting from outside."""
    from nncf.common.logging.track_progress import track

    log = logging.getLogger("nncf")
    log.handlers, log.propagate = [], True
    log.setLevel(logging.ERROR)
    track.__init__ = functools.partialmethod(track.__init__, disable=True)


class _Withholding:
    """A finder of modules that cannot be loaded, in one thread: others may be importing them."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names, self._thread = frozenset(names), threading.get_ident()

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Found, so that whoever only looks for it hears that it is nowhere, and not an error."""
        withholds = name in self._names and threading.get_ident() == self._thread
        return ModuleSpec(name, self) if withholds else None  # type: ignore[arg-type]  # it loads nothing

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """As for a module that is not installed."""
        raise ModuleNotFoundError(f"{spec.name} is withheld", name=spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Never called: there is no module."""


@contextmanager
def withheld(*names: str) -> Iterator[None]:
    """In this thread the modules cannot be imported, those that are loaded already excepted."""
    finder = _Withholding(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def line(error: Exception) -> str:
    """What OpenVINO said, as one line: the operators that it has not, or else all but the places in its sources."""
    told = [part.strip() for part in str(error).splitlines()]
    if lacking := next((part for part in told if LACKING in part), ""):
        return f"it has no operator {lacking.partition(LACKING)[2].strip()}"
    said = " ".join(part for part in told if part and not part.startswith(PLACES))
    return said[:400] or " ".join(told)[:400]
