"""What Prefect shows of a run: its events as logs, the candidates and the verdict as artifacts."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

from fdpipe.artifacts import Record
from fdpipe.plan import Plan
from fdpipe.progress import Event, log
from fdpipe.report.tables import candidates


@contextmanager
def events_logged() -> Iterator[None]:
    """The progress events of the block go to the logs of the flow run or task run in which they happen."""
    handler = _ToPrefect()
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


class _ToPrefect(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", None)
        if isinstance(event, Event):
            with suppress(MissingContextError):
                get_run_logger().info(_line(event))


def _line(event: Event) -> str:
    took = "" if event.seconds is None else f"{event.seconds:.2f} s"
    return " ".join(part for part in (event.step, event.kind, event.detail, took) if part)


def show(plan: Plan, record: Record) -> None:
    """Keep the candidates' table and the verdict as artifacts of the run under way."""
    table = candidates(record)
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    create_table_artifact(table=rows, key=f"{plan.service_name}-candidates", description=record.verdict.reason)
    create_markdown_artifact(markdown=verdict(record), key=f"{plan.service_name}-verdict")


def verdict(record: Record) -> str:
    """The verdict, and each check on each candidate, in Markdown."""
    refused = record.rejection
    head = f"**{refused.word}**: {refused.reason}" if refused else f"**{record.verdict.outcome}**: {record.verdict.reason}"
    lines = ["| candidate | check | outcome | reason |", "| --- | --- | --- | --- |"]
    for result in record.verdict.results:
        cells = (result.candidate, result.check, result.outcome.value, result.reason)
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join([head, "", *lines])
