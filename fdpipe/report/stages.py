"""What the run did, from its events: a row for each step, with its time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fdpipe.progress import Event


@dataclass(frozen=True, kw_only=True)
class StageRow:
    """One step; `outcome` is done, reused, failed, or running where it never ended."""

    step: str
    depth: int
    outcome: str = "running"
    seconds: float | None = None
    detail: str = ""


def stage_rows(events: Sequence[Event]) -> list[StageRow]:
    """In the order in which they began; steps that ran beside each other are matched by name."""
    rows: list[StageRow] = []
    for event in events:
        if event.kind == "start":
            rows.append(StageRow(step=event.step, depth=event.depth))
        elif event.kind in ("done", "reused", "failed"):
            number = _open_row(rows, event)
            if number is not None:
                rows[number] = replace(rows[number], outcome=event.kind, seconds=event.seconds, detail=event.detail)
    return rows


def _open_row(rows: Sequence[StageRow], event: Event) -> int | None:
    """The last row of that step that has not ended."""
    matching = (
        number
        for number, row in reversed(list(enumerate(rows)))
        if (row.step, row.depth, row.outcome) == (event.step, event.depth, "running")
    )
    return next(matching, None)
