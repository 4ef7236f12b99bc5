"""What this target gives: the hardware table's rows of this run, every cell with its basis."""

from dataclasses import dataclass

from fdpipe.artifacts import Basis, Figure, Record
from fdpipe.hardware import NAMES, Column, Row, notes, number, rows_of, unit_of
from fdpipe.plan import Target
from fdpipe.report import words


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One figure: what it is of, the figure with its unit, and how it was come by."""

    name: str
    value: str
    basis: Basis


@dataclass(frozen=True, kw_only=True)
class Line:
    """One runtime of the target: its best candidate's figures or, without one, the reason."""

    runtime: str
    candidate: str
    cells: tuple[Cell, ...]
    reason: str


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """Every runtime, and how the figures were come by."""

    lines: tuple[Line, ...]
    notes: tuple[str, ...]


def hardware(record: Record, target: Target) -> Hardware:
    """The run's rows."""
    rows = rows_of(record, target)
    return Hardware(lines=tuple(map(_line, rows)), notes=tuple(notes(rows)))


def _line(row: Row) -> Line:
    cells = tuple(_cell(column, row.figures[column]) for column in Column) if row.candidate else ()
    return Line(runtime=row.runtime, candidate=row.candidate or "", cells=cells, reason=row.reason)


def _cell(column: Column, figure: Figure) -> Cell:
    if figure.value is None or figure.basis is Basis.NOT_MEASURED:
        return Cell(name=NAMES[column], value=words.DASH, basis=Basis.NOT_MEASURED)
    return Cell(name=NAMES[column], value=f"{number(figure.value)} {unit_of(figure)}", basis=figure.basis)
