"""Optional libraries: the module, or one line that says how to install it."""

import importlib
from types import ModuleType

from fdpipe.errors import MissingExtra


def require(module: str, *, extra: str) -> ModuleType:
    """Import `module`; raise `MissingExtra` with the install command where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing(module, extra=extra, because=str(error)) from error


def missing(what: str, *, extra: str, because: str = "not installed") -> MissingExtra:
    """The error for something that the extra named would bring; without a name, fdpipe itself does."""
    package = f"'fdpipe[{extra}]'" if extra else "fdpipe"
    return MissingExtra(f"{what} is needed and cannot be used ({because}): pip install {package}")
