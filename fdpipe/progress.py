"""What a run is doing, as log records that a console, a file or Prefect can show.

Steps nest: a trial is a step whose stages are steps. A step in which everything was reused is itself reused.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

log = logging.getLogger("fdpipe.progress")

Kind = Literal["start", "wait", "note", "reused", "done", "failed"]


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened: `step` names where, `depth` counts the steps around it, `seconds` is its duration."""

    kind: Kind
    step: str
    depth: int
    detail: str = ""
    seconds: float | None = None


class Step:
    """A step under way; set `detail` to have it shown when the step ends."""

    def __init__(self, name: str, depth: int) -> None:
        self.name = name
        self.depth = depth
        self.detail = ""
        self.children: list[bool] = []
        self.reused = False

    def emit(self, kind: Kind, detail: str = "", seconds: float | None = None) -> None:
        """Send one event of this step."""
        event = Event(kind=kind, step=self.name, depth=self.depth, detail=detail, seconds=seconds)
        log.info("%s %s %s", self.name, kind, detail, extra={"event": event})


_current: ContextVar[Step | None] = ContextVar("fdpipe_step", default=None)


@contextmanager
def step(name: str) -> Iterator[Step]:
    """Run the block as a step called `name`, with its time."""
    parent = _current.get()
    this = Step(name, depth=parent.depth + 1 if parent else 0)
    token = _current.set(this)
    started = time.perf_counter()
    this.emit("start")
    try:
        yield this
    except BaseException as error:
        this.emit("failed", detail=str(error), seconds=time.perf_counter() - started)
        if parent is not None:
            parent.children.append(False)
        raise
    finally:
        _current.reset(token)
    this.reused = this.reused or (bool(this.children) and all(this.children))
    if parent is not None:
        parent.children.append(this.reused)
    this.emit("reused" if this.reused else "done", detail=this.detail, seconds=time.perf_counter() - started)


def name_of(step: object) -> str:
    """What a step of the line is called: its `name`, or the function's."""
    return str(getattr(step, "name", None) or getattr(step, "__name__", type(step).__name__))


def note(detail: str) -> None:
    """Say something about the step under way."""
    current = _current.get()
    if current is None:
        log.info("%s", detail, extra={"event": Event(kind="note", step="", depth=0, detail=detail)})
    else:
        current.emit("note", detail=detail)
