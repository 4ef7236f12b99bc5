"""Every error that fdpipe raises on purpose, and the exit code of each.

    FdpipeError                 1  could not find out; the run's folder has the details
    ├── ConfigError             2  a wrong override, file or plan
    ├── MissingExtra            3  a library that the plan needs is not installed
    ├── SourceError             4  the registry, the model or its data cannot be had
    ├── StageError              5  a stage could not do its work
    │   ├── ConversionError     5  the ONNX model cannot be made, or answers differently
    │   │   └── OriginalLost    5  the process of the original crashed, hung, or took too much
    │   ├── NotApplicable       5  a recipe does not suit this model (a trial with a reason, not the run's end)
    │   │   └── Incompatible    5  a runtime cannot take some of the model's nodes, which it names
    │   └── StoreError          5  the store cannot be read or written (a full disk)
    └── DeploymentError         6  the service does not start, or something else holds its port

A refusal by the gate is no error: it is a value, `fdpipe.artifacts.Rejection`.
"""

import difflib
from collections.abc import Iterable
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fdpipe.artifacts import Unsupported


class Exit(IntEnum):
    """The exit codes of the command line."""

    DONE = 0
    INTERNAL = 1
    CONFIGURATION = 2
    MISSING_EXTRA = 3
    SOURCE = 4
    STAGE = 5
    DEPLOYMENT = 6
    REJECTED = 10
    INCONCLUSIVE = 11
    ANOMALOUS = 12
    INTERRUPTED = 130


GRAVEST_FIRST = (
    Exit.INTERRUPTED,
    Exit.INTERNAL,
    Exit.DEPLOYMENT,
    Exit.STAGE,
    Exit.SOURCE,
    Exit.MISSING_EXTRA,
    Exit.CONFIGURATION,
    Exit.ANOMALOUS,
    Exit.INCONCLUSIVE,
    Exit.REJECTED,
    Exit.DONE,
)
"""The order in which a sweep picks its own exit code from those of its jobs."""


class FdpipeError(Exception):
    """The root: its text is one line for the user (what failed, the value, what is allowed, what to do)."""

    exit_code: Exit = Exit.INTERNAL


class ConfigError(FdpipeError):
    """The request is wrong: a key, a value, a file, a plan."""

    exit_code = Exit.CONFIGURATION


class MissingExtra(FdpipeError):
    """A library that the plan needs is not installed; the text has the install command."""

    exit_code = Exit.MISSING_EXTRA


class SourceError(FdpipeError):
    """The registry, the model version or its data cannot be had, or is not what it says."""

    exit_code = Exit.SOURCE


class StageError(FdpipeError):
    """A stage could not do its work."""

    exit_code = Exit.STAGE


class ConversionError(StageError):
    """The model cannot be exported, or the export answers differently from the original."""


class OriginalLost(ConversionError):
    """The process in which the original was isolated is gone: a crash, a hang, too much memory. It can be asked no more."""


class NotApplicable(StageError):
    """A recipe does not suit this model or has not what it needs; the trial is skipped with this reason."""


class Incompatible(NotApplicable):
    """A runtime cannot take some of the model's nodes; `nodes` are these, each with what the runtime said."""

    def __init__(self, reason: str, nodes: "tuple[Unsupported, ...]") -> None:
        super().__init__(reason)
        self.nodes = nodes


class StoreError(StageError):
    """The store cannot be read or written."""


class DeploymentError(FdpipeError):
    """The service does not start, does not answer, or its port belongs to something else."""

    exit_code = Exit.DEPLOYMENT


def among(wrong: str, choices: Iterable[str]) -> str:
    """The end of a message about a name that is not known: the choices and, of several, the one that was probably meant."""
    names = sorted(set(choices))
    near = difflib.get_close_matches(wrong, names, n=1) if len(names) > 1 else []
    listed = f"choose from {', '.join(names)}" if names else "there is nothing to choose from"
    return f"{listed} (did you mean {near[0]}?)" if near else listed
