"""Steps, their nesting, and what is said of them."""

import pytest

from fdpipe import progress
from fdpipe.progress import Event


def said(events: list[Event]) -> list[tuple[str, str, int]]:
    return [(event.kind, event.step, event.depth) for event in events]


def test_steps_nest(events: list[Event]) -> None:
    with progress.step("outer") as outer:
        with progress.step("inner"):
            progress.note("hello")
        outer.detail = "all of it"
    expected = [("start", "outer", 0), ("start", "inner", 1), ("note", "inner", 1), ("done", "inner", 1), ("done", "outer", 0)]
    assert said(events) == expected
    assert events[-1].detail == "all of it"
    assert events[-1].seconds is not None
    assert events[-1].seconds >= events[-2].seconds  # type: ignore[operator]


@pytest.mark.parametrize(("inner", "outer"), [([True, True], "reused"), ([True, False], "done"), ([], "done")])
def test_a_step_is_reused_when_everything_in_it_was(events: list[Event], inner: list[bool], outer: str) -> None:
    with progress.step("outer"):
        for reused in inner:
            with progress.step("inner") as step:
                step.reused = reused
    assert events[-1].kind == outer


def test_a_step_in_which_something_failed_is_not_reused(events: list[Event]) -> None:
    with progress.step("outer"):
        with progress.step("first") as first:
            first.reused = True
        with pytest.raises(ValueError, match="boom"), progress.step("second"):
            raise ValueError("boom")
    assert said(events)[-2:] == [("failed", "second", 1), ("done", "outer", 0)]
    assert events[-2].detail == "boom"


def test_a_note_outside_of_steps_is_a_note(events: list[Event]) -> None:
    progress.note("hello")
    assert events == [Event(kind="note", step="", depth=0, detail="hello")]
