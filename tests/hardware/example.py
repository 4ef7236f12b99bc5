"""Rows made by hand."""

from fdpipe.artifacts import Basis, Figure
from fdpipe.hardware import Column, Row

UNITS = {
    Column.THROUGHPUT: "rows/s",
    Column.P50: "ms",
    Column.P99: "ms",
    Column.MEMORY: "MiB",
    Column.SIZE: "MiB",
    Column.ENERGY: "J",
    Column.COST: "USD per million",
}


def figure(value: float | None, unit: str = "J", basis: Basis = Basis.MEASURED, method: str = "by hand") -> Figure:
    """One figure."""
    return Figure(value=value, unit=unit, basis=basis if value is not None else Basis.NOT_MEASURED, method=method)


def row(target: str, candidate: str | None = "ort/none", reason: str = "", **figures: Figure | float) -> Row:
    """One row; what is not named is not measured."""
    made = {column: figures.get(column.value, figure(None, unit, method="not asked")) for column, unit in UNITS.items()}
    every = {name: one if isinstance(one, Figure) else figure(one, UNITS[name]) for name, one in made.items()}
    return Row(target=target, runtime="ort", candidate=candidate, figures=every, reason=reason)
