"""The run's report: `report.html`, one file that needs nothing else, and `report.json` for machines."""

from collections.abc import Sequence
from pathlib import Path

from fdpipe.artifacts import Record
from fdpipe.plan import Plan
from fdpipe.progress import Event
from fdpipe.store import Store


def write_report(record: Record, plan: Plan, events: Sequence[Event], folder: Path, store: Store) -> Path:
    """Write both into the folder; where the HTML file is. The store remembers the pictures."""
    from fdpipe.report.page import render
    from fdpipe.report.summary import to_json

    (folder / "report.json").write_bytes(to_json(record, plan, events))
    path = folder / "report.html"
    path.write_text(render(record, plan, events, store), encoding="utf-8")
    return path
