"""The hardware table in words: what a cell says, its column's heading, and how the figures were come by."""

from collections.abc import Sequence

from fdpipe.artifacts import Basis, Figure
from fdpipe.hardware.table import Column, Row

MARKS = {Basis.MEASURED: "", Basis.DERIVED: "= ", Basis.ESTIMATED: "~ "}
HEADINGS = {
    Column.THROUGHPUT: "rows/s",
    Column.P50: "p50 ms",
    Column.P99: "p99 ms",
    Column.MEMORY: "memory MiB",
    Column.SIZE: "size MiB",
    Column.ENERGY: "energy J",
    Column.COST: "cost of a million",
}
LEGEND = "= is derived from measured figures, ~ is estimated; every other figure is measured"


def headings() -> tuple[str, ...]:
    """The table's columns."""
    return ("target", "runtime", "candidate", *HEADINGS.values())


def cells(row: Row) -> tuple[str, ...]:
    """A row as the table shows it."""
    return (row.target, row.runtime or "–", row.candidate or "–", *(cell(row.figures[column]) for column in Column))


def cell(figure: Figure) -> str:
    """A figure with its mark; a cost with its currency."""
    if figure.value is None or figure.basis is Basis.NOT_MEASURED:
        return "not measured"
    currency = figure.unit.partition(" per ")
    return f"{MARKS[figure.basis]}{_number(figure.value)}" + (f" {currency[0]}" if currency[1] else "")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def notes(rows: Sequence[Row]) -> list[str]:
    """How the figures of each column were come by, one line for each way, and why a row has none."""
    lines = [f"{_place(row)}: {row.reason}" for row in rows if row.reason]
    for column in Column:
        ways: dict[str, list[str]] = {}
        for row in rows:
            if row.candidate and row.figures[column].method and not row.reason:
                figure = row.figures[column]
                ways.setdefault(f"{figure.basis}: {figure.method}", []).append(row.candidate)
        for way, names in ways.items():
            whose = f" ({', '.join(names)})" if len(ways) > 1 else ""
            lines.append(f"{column} {way}{whose}")
    return lines


def _place(row: Row) -> str:
    return f"{row.target} with {row.runtime}" if row.runtime else row.target
