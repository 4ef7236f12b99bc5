"""How a run looks: its steps as they go, in a live line on a terminal and in plain lines elsewhere."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.text import Text

from fdpipe.progress import Event

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

NAMES = 36
PLAIN_WIDTH = 240


def console_on(stream: TextIO) -> Console:
    """A console that wraps nothing where no terminal says how wide it is."""
    width = None if stream.isatty() else PLAIN_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=not stream.isatty())


@contextmanager
def steps_shown(console: Console) -> Iterator[None]:
    """Show what the logger `fdpipe.progress` tells while the block runs."""
    with Steps(console) as steps, _told(steps):
        yield


@contextmanager
def notes_shown(console: Console) -> Iterator[None]:
    """Show only its notes, and only when the block has ended well: what went wrong needs no company."""
    notes = _Notes()
    with _told(notes):
        yield
    for text in notes.texts:
        console.print(Text(text, style="bold"))


@contextmanager
def _told(handler: logging.Handler) -> Iterator[None]:
    log = logging.getLogger("fdpipe.progress")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


class _Notes(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", None)
        if isinstance(event, Event) and event.kind == "note":
            self.texts.append(event.detail)


class Steps(logging.Handler):
    """One line for each step as it ends. A step that was reused as a whole is one line, whatever is inside it."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console
        self.path: list[str] = []
        self.headed = 0
        self.live: Progress | None = None
        self.task: TaskID | None = None

    def __enter__(self) -> "Steps":
        if self.console.is_terminal:
            from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self.live = Progress(*columns, console=self.console, transient=True)
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", None)
        if isinstance(event, Event):
            getattr(self, f"_{event.kind}")(event)

    def _start(self, event: Event) -> None:
        self.path[event.depth :] = [event.step]
        self._point(" · ".join(self.path))

    def _wait(self, event: Event) -> None:
        self._head(event.depth)
        self._line(event.depth, event.step, "waiting", event.detail, "yellow")

    def _note(self, event: Event) -> None:
        """Beside a step a remark; outside of all of them a headline."""
        if event.step:
            self._head(event.depth)
            self._line(event.depth + 1, f"note: {event.detail}", "", "", "yellow")
        else:
            self.console.print(Text(event.detail, style="bold"))

    def _reused(self, event: Event) -> None:
        if event.depth <= self.headed:
            self._end(event, "reused", "cyan")
        self._left(event)

    def _done(self, event: Event) -> None:
        self._end(event, f"{event.seconds or 0:.2f} s", "green")
        self._left(event)

    def _failed(self, event: Event) -> None:
        if event.depth == 0:
            self._end(event, "failed", "red")
        self._left(event)

    def _end(self, event: Event, said: str, style: str) -> None:
        if self.headed > event.depth:
            self._line(event.depth + 1, "in all", said, event.detail, style)
        else:
            self._head(event.depth)
            self._line(event.depth, event.step, said, event.detail, style)

    def _head(self, depth: int) -> None:
        """Name the steps around a line, each once."""
        for above in range(self.headed, min(depth, len(self.path))):
            self._line(above, self.path[above], "", "", "")
        self.headed = max(self.headed, depth)

    def _left(self, event: Event) -> None:
        self.headed = min(self.headed, event.depth)
        del self.path[event.depth :]
        self._point(" · ".join(self.path))

    def _line(self, depth: int, name: str, said: str, detail: str, style: str) -> None:
        text = Text("  " * (depth + 1))
        text.append(f"{name:<{NAMES - 2 * depth}}" if said else name, style="" if said else style)
        text.append(f" {said:>9}" if said else "", style=style)
        text.append(f"  {' '.join(detail.split())}" if detail else "", style="dim")
        self.console.print(text)

    def _point(self, where: str) -> None:
        """Let the live line say which step is under way, and for how long."""
        if self.live is None:
            return
        if self.task is not None:
            self.live.remove_task(self.task)
        self.task = self.live.add_task(where) if where else None
