"""Which row of the hardware table serves an aim best, and the rule that says so."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from fdpipe.artifacts import Basis, Figure
from fdpipe.hardware.table import Column, Row

CLOSE = 0.05
"""Rows this near to the best are named beside it: figures of different runs are not told apart more finely."""


class Aim(StrEnum):
    """What a choice of hardware is to be good at."""

    LATENCY = "latency"
    THROUGHPUT = "throughput"
    COST = "cost"
    ENERGY = "energy"
    SIZE = "size"


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """The column that decides, in words, and whether more of it is better."""

    column: Column
    words: str
    more: bool = False


CRITERIA = {
    Aim.LATENCY: Criterion(column=Column.P50, words="the shortest median time of a call with the smallest batch"),
    Aim.THROUGHPUT: Criterion(column=Column.THROUGHPUT, words="the most rows per second at the best batch size", more=True),
    Aim.COST: Criterion(column=Column.COST, words="the lowest cost of a million rows at the declared prices"),
    Aim.ENERGY: Criterion(column=Column.ENERGY, words="the least energy for a row"),
    Aim.SIZE: Criterion(column=Column.SIZE, words="the smallest model files"),
}
"""The median and not the 99th percentile decides about latency: on a shared machine the tail is as much the machine's."""


@dataclass(frozen=True, kw_only=True)
class Advice:
    """The recommended `row`, or None with the `reason`; `rule` is what decided, `close` the rows that are nearly as good."""

    aim: Aim
    row: Row | None
    rule: str
    reason: str
    close: tuple[Row, ...] = ()


def advise(rows: Sequence[Row], aim: Aim, *, estimates: bool = False) -> Advice:
    """The best row for the aim, among those whose candidate passed the gate and whose figure is measured or derived; an
    estimate decides only where `estimates` says so. Figures in different units, as of two currencies, are not compared."""
    criterion = CRITERIA[aim]
    bases = (Basis.MEASURED, Basis.DERIVED, *((Basis.ESTIMATED,) if estimates else ()))
    counted = f"measured{', estimated' if estimates else ''} or derived"
    rule = f"{criterion.words}, among candidates that passed the gate and whose figure is {counted}"
    able = [
        (row, value) for row in rows if row.candidate and (value := _value(row.figures[criterion.column], bases)) is not None
    ]
    if not able:
        return Advice(aim=aim, row=None, rule=rule, reason=_why_nothing(rows, criterion, estimates))
    units = sorted({row.figures[criterion.column].unit for row, _ in able})
    if len(units) > 1:
        return Advice(aim=aim, row=None, rule=rule, reason=f"{' and '.join(units)} cannot be compared")
    sign = -1 if criterion.more else 1
    able.sort(key=lambda pair: sign * pair[1])
    best, figure = able[0]
    close = tuple(row for row, value in able[1:] if abs(value - figure) <= CLOSE * abs(figure))
    left = len({(row.target, row.runtime) for row in rows}) - len(able)
    reason = f"{best.target} with {best.candidate}: {figure:.4g} {units[0]}"
    if close:
        names = ", ".join(f"{row.target} with {row.candidate}" for row in close)
        reason += f"; within {CLOSE:.0%}, and so not told apart: {names}"
    if left:
        reason += f"; {left} of {left + len(able)} rows had no such figure and did not count"
    return Advice(aim=aim, row=best, rule=rule, reason=reason, close=close)


def _value(figure: Figure, bases: tuple[Basis, ...]) -> float | None:
    return figure.value if figure.basis in bases else None


def _why_nothing(rows: Sequence[Row], criterion: Criterion, estimates: bool) -> str:
    """The first figure's reason stands for all."""
    passed = [row for row in rows if row.candidate]
    if not passed:
        return "no candidate passed the gate on any target; each row has its reason" if rows else "there is no row"
    figures = [row.figures[criterion.column] for row in passed]
    guessed = next((one for one in figures if one.basis is Basis.ESTIMATED), None)
    if guessed is not None and not estimates:
        return f"{criterion.column} is only estimated ({guessed.method}): gate.unmeasured=allow lets estimates decide"
    return f"{criterion.column} is not measured: {figures[0].method}"
