"""Tables as the console shows them."""

import time
from collections.abc import Collection, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = (), styles: Sequence[str] = ()
) -> Table:
    """Plain columns, those numbered in `right` for figures; `styles` has one for each row."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for number, name in enumerate(columns):
        made.add_column(name, justify="right" if number in right else "left", overflow="fold")
    for number, row in enumerate(rows):
        made.add_row(*(Text(cell) for cell in row), style=styles[number] if styles else None)
    return made


def age(moment: float) -> str:
    """How long ago, in one unit."""
    seconds = max(0.0, time.time() - moment)
    size, unit = next((pair for pair in UNITS if seconds >= pair[0]), UNITS[-1])
    return f"{seconds / size:.0f} {unit} ago"
