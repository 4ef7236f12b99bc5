"""One run with its folder: the line, its events, its record and its report."""

import logging
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from fdpipe.artifacts import Outcome, Record
from fdpipe.errors import Exit, FdpipeError
from fdpipe.home import settle_environment
from fdpipe.pipeline import Call, direct, run
from fdpipe.plan import Plan
from fdpipe.progress import Event
from fdpipe.report import write_report
from fdpipe.runs import RunFolder, Runs


@dataclass(frozen=True)
class Execution:
    """A run that came to a result."""

    folder: RunFolder
    record: Record

    @property
    def exit_code(self) -> Exit:
        """What the command line exits with."""
        return exit_code(self.record)


def execute(plan: Plan, *, call: Call = direct, trigger: str = "cli") -> Execution:
    """Run the plan and keep everything about it; errors are recorded in the run's folder and raised."""
    folder = Runs(settle_environment()).start(plan, trigger, os.getpid())
    with _recorded(folder):
        record = run(plan, call=call)
        folder.save_record(record)
        _end(folder, exit_code(record), summary(record))
    write_report(record, plan, folder.events(), folder.path)
    return Execution(folder, record)


def exit_code(record: Record) -> Exit:
    """Done, or the refusal's own code."""
    if record.rejection is None:
        return Exit.DONE
    codes = {Outcome.INCONCLUSIVE: Exit.INCONCLUSIVE, Outcome.ANOMALOUS: Exit.ANOMALOUS}
    return codes.get(record.rejection.outcome, Exit.REJECTED)


def summary(record: Record) -> str:
    """The run's result in one line."""
    if record.rejection is not None:
        return f"rejected: {record.rejection.reason}"
    if record.deployment is not None and record.release is not None:
        return f"{record.release.candidate.name} at {record.deployment.url or 'no address (dry run)'}"
    return "no result"


@contextmanager
def _recorded(folder: RunFolder) -> Iterator[None]:
    """Keep the events while the block runs and, if it fails, the error and its traceback."""
    handler = _Recorder(folder)
    log = logging.getLogger("fdpipe.progress")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        yield
    except BaseException as error:
        (folder.path / "traceback.txt").write_text(traceback.format_exc())
        code = error.exit_code if isinstance(error, FdpipeError) else Exit.INTERNAL
        _end(folder, Exit.INTERRUPTED if isinstance(error, KeyboardInterrupt) else code, str(error) or type(error).__name__)
        error.add_note(f"run folder: {folder.path}")
        raise
    finally:
        log.removeHandler(handler)


class _Recorder(logging.Handler):
    """Writes progress events into the run's folder."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self.folder = folder

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", None)
        if isinstance(event, Event):
            self.folder.append(event)


def _end(folder: RunFolder, code: Exit, text: str) -> None:
    folder.save_state(replace(folder.state(), ended=time.time(), exit_code=int(code), summary=text))
