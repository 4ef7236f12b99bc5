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
    Column.ENERGY: "J a row",
    Column.COST: "cost of a million rows",
}
NAMES = {column: column.value for column in Column} | {
    Column.ENERGY: "energy of a row",
    Column.COST: "cost of a million rows",
}
"""What a figure is of, where its unit stands beside it."""

OF_A_COST = " per million"
LEGEND = "= is derived from measured figures, ~ is estimated; every other figure is measured"


def headings() -> tuple[str, ...]:
    """The table's columns."""
    return ("target", "runtime", "candidate", *HEADINGS.values())


def cells(row: Row) -> tuple[str, ...]:
    """A row as the table shows it: without a candidate it says what became of them, and has no figures."""
    figures = (cell(row.figures[column]) if row.candidate else "–" for column in Column)
    return (row.target, row.runtime or "–", row.candidate or row.instead or "–", *figures)


def cell(figure: Figure) -> str:
    """A figure with its mark; a cost with its currency."""
    if figure.value is None or figure.basis is Basis.NOT_MEASURED:
        return "not measured"
    currency = unit_of(figure) if figure.unit.endswith(OF_A_COST) else ""
    return f"{MARKS[figure.basis]}{number(figure.value)} {currency}".rstrip()


def unit_of(figure: Figure) -> str:
    """Its unit beside a name that says how many rows it is of: the currency alone of a cost."""
    return figure.unit.removesuffix(OF_A_COST)


def number(value: float) -> str:
    """Three digits, or a whole number where it is large."""
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
            lines.append(f"{NAMES[column]}, {way}{whose}")
    return lines


def _place(row: Row) -> str:
    return f"{row.target} with {row.runtime}" if row.runtime else row.target
