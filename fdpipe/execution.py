"""One run with its folder: the line, its events, its record and its report; and several runs after each other."""

import logging
import os
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from fdpipe import progress
from fdpipe.artifacts import Outcome, Record
from fdpipe.errors import GRAVEST_FIRST, Exit, FdpipeError
from fdpipe.home import settle_environment
from fdpipe.pipeline import direct, run
from fdpipe.plan import Plan
from fdpipe.progress import Event
from fdpipe.report import write_report
from fdpipe.runs import RunFolder, Runs
from fdpipe.stages.deploy import appraisal_of, appraise
from fdpipe.store import LocalStore, writing
from fdpipe.tracking import discreet
from fdpipe.trials import Call

Job = TypeVar("Job")


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
    home = settle_environment()
    with writing(home):
        folder = Runs(home).start(plan, trigger, os.getpid())
        progress.note(f"{plan.model} on {plan.target.name}, run {folder.id}")
        with _recorded(folder):
            store = LocalStore(home / "store")
            record = run(plan, store=store, call=call)
            folder.save_record(record)
            write_report(record, plan, folder.events(), folder.path, store)
            appraise(plan.source, record.model, appraisal_of(record, folder.id, folder.evidence))
            _end(folder, exit_code(record), summary(record))
    return Execution(folder, record)


def execute_all(jobs: Iterable[Job], execute_one: Callable[[Job], Execution]) -> list[Execution | Exception]:
    """What came of each job, one after the other: one that fails does not keep the others from running."""
    return [_result_of(job, execute_one) for job in jobs]


def gravest(results: Iterable[Execution | Exception]) -> Exit:
    """What a sweep exits with."""
    codes = {error_code(result) if isinstance(result, Exception) else result.exit_code for result in results}
    return next((code for code in GRAVEST_FIRST if code in codes), Exit.DONE)


def exit_code(record: Record) -> Exit:
    """Done, or the refusal's own code."""
    if record.rejection is None:
        return Exit.DONE
    codes = {Outcome.INCONCLUSIVE: Exit.INCONCLUSIVE, Outcome.ANOMALOUS: Exit.ANOMALOUS}
    return codes.get(record.rejection.outcome, Exit.REJECTED)


def error_code(error: BaseException) -> Exit:
    """What the command line exits with after this error."""
    if isinstance(error, KeyboardInterrupt):
        return Exit.INTERRUPTED
    return error.exit_code if isinstance(error, FdpipeError) else Exit.INTERNAL


def summary(record: Record) -> str:
    """The run's result in one line."""
    if record.rejection is not None:
        return f"{record.rejection.word}: {record.rejection.reason}"
    if record.deployment is not None and record.release is not None:
        return f"{record.release.candidate.name} at {record.deployment.url or 'no address (dry run)'}"
    if record.release is not None:
        return f"{record.release.candidate.name} is packaged, not deployed: {record.verdict.reason}"
    return "no result"


def _result_of(job: Job, execute_one: Callable[[Job], Execution]) -> Execution | Exception:
    try:
        return execute_one(job)
    except Exception as error:
        return error


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
        with suppress(OSError):
            (folder.path / "traceback.txt").write_text(discreet(traceback.format_exc()))
            _end(folder, error_code(error), discreet(str(error)) or type(error).__name__)
        error.add_note(f"run folder: {folder.path}")
        raise
    finally:
        log.removeHandler(handler)


class _Recorder(logging.Handler):
    """Writes progress events into the run's folder, as far as there is room."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self.folder = folder

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", None)
        if isinstance(event, Event):
            with suppress(OSError):
                self.folder.append(event)


def _end(folder: RunFolder, code: Exit, text: str) -> None:
    folder.save_state(replace(folder.state(), ended=time.time(), exit_code=int(code), summary=text))
