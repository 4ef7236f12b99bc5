"""What is said between the pipeline and an isolated original."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from fdpipe.artifacts import Precision, SourceModel
from fdpipe.interfaces import Export


class Call(StrEnum):
    """What the original is asked to do; `start` is its process's own."""

    START = "start"
    LOAD = "load"
    EXPORT = "export"
    PREDICT = "predict"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call. Load has converter (its settings), the room that this lives in and model, export has folder and precision,
    predict its rows as arrays."""

    call: Call
    room: str = "converter"
    converter: Mapping[str, Any] = field(default_factory=dict)
    model: SourceModel | None = None
    folder: str = ""
    precision: Precision = Precision.FLOAT32


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An error: its class in fdpipe.errors, or `MemoryError`, or any other, and its text."""

    kind: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came of a call: a refusal; or after the start what the sandbox lacks, after load the packages' versions, after
    export what was made, its path relative to the folder, and after predict the answers as arrays."""

    refusal: Refusal | None = None
    missing: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    export: Export | None = None
