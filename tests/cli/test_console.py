"""How steps look, on a terminal and elsewhere."""

import io
import re

import pytest
from rich.console import Console

from fdpipe import progress
from fdpipe.cli.console import console_on, notes_shown, steps_shown
from fdpipe.errors import StageError


def line() -> None:
    """What a run may tell."""
    progress.note("a headline")
    with progress.step("fetch") as step:
        step.reused = True
    with progress.step("trial one"), progress.step("evaluate") as step:
        step.reused = True
    with progress.step("trial two") as trial:
        with progress.step("optimize") as step:
            step.emit("wait", "another run is computing this")
            progress.note("a remark")
        with progress.step("evaluate") as step:
            step.reused = True
        trial.detail = "in two words"
    with pytest.raises(StageError), progress.step("benchmark"):
        raise StageError("no clock")


def fail() -> None:
    """A remark, and then an error."""
    progress.note("a remark")
    raise StageError("no clock")


def test_in_plain_lines_each_step_is_one_line_and_trials_are_indented() -> None:
    stream = io.StringIO()
    with steps_shown(console_on(stream)):
        line()
    assert [re.sub(r"\d\.\d\d s", "·", " ".join(text.split())) for text in stream.getvalue().splitlines()] == [
        "a headline",
        "fetch reused",
        "trial one reused",
        "trial two",
        "optimize waiting another run is computing this",
        "note: a remark",
        "optimize ·",
        "evaluate reused",
        "in all · in two words",
        "benchmark failed no clock",
    ]
    indents = {text.split()[0]: len(text) - len(text.lstrip()) for text in stream.getvalue().splitlines()}
    assert indents["fetch"] == 2
    assert indents["evaluate"] == 4


def test_on_a_terminal_the_step_under_way_is_shown_with_its_time() -> None:
    stream = io.StringIO()
    with steps_shown(Console(file=stream, force_terminal=True, width=100)):
        line()
    assert "trial two · evaluate" in stream.getvalue()
    assert "0:00:00" in stream.getvalue()


def test_notes_are_shown_when_all_went_well() -> None:
    stream = io.StringIO()
    with notes_shown(console_on(stream)):
        line()
    assert stream.getvalue().splitlines() == ["a headline", "a remark"]


def test_notes_are_not_shown_beside_an_error() -> None:
    stream = io.StringIO()
    with pytest.raises(StageError), notes_shown(console_on(stream)), progress.step("load"):
        fail()
    assert stream.getvalue() == ""
