"""The table in words: what is not measured is never a figure, and what is derived or estimated bears its mark."""

from fdpipe.artifacts import Basis
from fdpipe.hardware import cell, cells, headings, notes
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
    assert cells(row("gpu", None))[:3] == ("gpu", "ort", "–")


def test_notes_say_how_and_why_and_whose_where_they_differ() -> None:
    first = row("cpu", "ort/none", p50=figure(1.0, "ms", method="one call"), size=figure(1.0, "MiB", method="files"))
    other = row("gpu", "trt/none", p50=figure(2.0, "ms", method="one call"), size=figure(2.0, "MiB", method="engine"))
    missing = row("arm", None, reason="there is no board")
    found = notes((first, other, missing))
    assert found[0] == "arm with ort: there is no board"
    assert "p50 measured: one call" in found
    assert "size measured: files (ort/none)" in found
    assert "size measured: engine (trt/none)" in found
