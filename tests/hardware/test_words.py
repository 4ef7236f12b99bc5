"""The table in words: what is not measured is never a figure, and what is derived or estimated bears its mark."""

from dataclasses import replace

from fdpipe.artifacts import Basis
from fdpipe.hardware import NAMES, Column, cell, cells, headings, notes, unit_of
from tests.hardware.example import figure, row


def test_a_cell_bears_the_mark_of_its_basis() -> None:
    assert cell(figure(0.01234)) == "0.0123"
    assert cell(figure(12345.6, "rows/s")) == "12,346"
    assert cell(figure(0.5, "EUR per million", Basis.DERIVED)) == "= 0.5 EUR"
    assert cell(figure(0.5, basis=Basis.ESTIMATED)) == "~ 0.5"
    assert cell(figure(None)) == "not measured"


def test_a_row_has_a_cell_for_each_heading() -> None:
    found = cells(row("cpu", p50=1.5))
    assert len(found) == len(headings())
    assert dict(zip(headings(), found, strict=True))["p50 ms"] == "1.5"
    absent = cells(replace(row("gpu", None), instead="none passed"))
    assert absent == ("gpu", "ort", "none passed", *["–"] * len(Column))


def test_what_a_figure_is_of_is_said_once_and_alike() -> None:
    """The energy and the cost are of rows, wherever they are told."""
    assert [heading for heading in headings() if "row" in heading] == ["rows/s", "J a row", "cost of a million rows"]
    assert (NAMES[Column.ENERGY], NAMES[Column.COST]) == ("energy of a row", "cost of a million rows")
    assert (unit_of(figure(1.0, "EUR per million")), unit_of(figure(1.0))) == ("EUR", "J")
    (told,) = (line for line in notes([row("cpu", energy=0.5)]) if line.startswith("energy of a row, measured"))
    assert told.endswith("by hand")


def test_notes_say_how_and_why_and_whose_where_they_differ() -> None:
    first = row("cpu", "ort/none", p50=figure(1.0, "ms", method="one call"), size=figure(1.0, "MiB", method="files"))
    other = row("gpu", "trt/none", p50=figure(2.0, "ms", method="one call"), size=figure(2.0, "MiB", method="engine"))
    missing = row("arm", None, reason="there is no board")
    found = notes((first, other, missing))
    assert found[0] == "arm with ort: there is no board"
    assert "p50, measured: one call" in found
    assert "size, measured: files (ort/none)" in found
    assert "size, measured: engine (trt/none)" in found
