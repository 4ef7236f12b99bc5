"""What a target and a runtime give: one row each, every cell with its basis, and which row an aim recommends."""

from fdpipe.hardware.advice import Advice, Aim, advise
from fdpipe.hardware.table import Column, Row, not_run, rows_of
from fdpipe.hardware.words import NAMES, cell, cells, headings, notes, number, unit_of

__all__ = [
    "NAMES",
    "Advice",
    "Aim",
    "Column",
    "Row",
    "advise",
    "cell",
    "cells",
    "headings",
    "not_run",
    "notes",
    "number",
    "rows_of",
    "unit_of",
]
