"""docs/gate-measured.md: what the gate and its benchmark were found to get right, and when and where."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fdpipe import __version__
from fdpipe.machine import describe_machine

PAGE = Path(__file__).parent.parent.parent / "docs" / "gate-measured.md"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of a table: what was asked, what came out, and whether that is enough; None where nothing was promised."""

    what: str
    wanted: str
    found: str
    holds: bool | None = None


def page(parts: Mapping[str, Sequence[Row]], told: Mapping[str, str]) -> str:
    """The whole page: each part's rows below its title, after the words that are told of it."""
    return "\n".join([*_head(), tables(parts, told)])


def tables(parts: Mapping[str, Sequence[Row]], told: Mapping[str, str]) -> str:
    """What is on it."""
    return "\n".join(line for title, rows in parts.items() for line in _table(title, rows, told.get(title, "")))


def _head() -> Iterator[str]:
    machine = describe_machine()
    where = f"{machine.processor}, {machine.cores} cores, {machine.memory_gib} GiB, {machine.system}"
    yield from ("# The gate, measured", "")
    yield f"`make bench-gate` wrote this page on {time.strftime('%Y-%m-%d')}: fdpipe {__version__}, on {where}."
    yield ""


def _table(title: str, rows: Sequence[Row], told: str) -> Iterator[str]:
    yield from (f"## {title}", "")
    if told:
        yield from (told, "")
    yield from ("| what | wanted | found | |", "|---|---|---|---|")
    for row in rows:
        yield f"| {row.what} | {row.wanted} | {row.found} | {({True: '✓', False: '✗', None: ''})[row.holds]} |"
    yield ""
