"""The run's report: `report.html`, one file that needs nothing else; for machines `report.json` and, for CI systems,
`verdict.junit.xml`."""

from collections.abc import Sequence
from pathlib import Path

from fdpipe.artifacts import Record
from fdpipe.plan import Plan
from fdpipe.progress import Event
from fdpipe.store import Store


def write_report(record: Record, plan: Plan, events: Sequence[Event], folder: Path, store: Store) -> Path:
    """Write them into the folder; where the HTML file is. The store remembers the pictures."""
    from fdpipe.report.graph import operators
    from fdpipe.report.junit import to_xml
    from fdpipe.report.page import render
    from fdpipe.report.summary import to_json

    counted = operators(record, store)
    (folder / "report.json").write_bytes(to_json(record, plan, events, counted))
    (folder / "verdict.junit.xml").write_bytes(to_xml(record))
    path = folder / "report.html"
    path.write_text(render(record, plan, events, counted, store), encoding="utf-8")
    return path
