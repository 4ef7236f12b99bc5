"""A first impression that may be wrong is not the last word on a candidate."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from fdpipe.artifacts import Candidate, Health, Measured
from fdpipe.progress import Event
from fdpipe.stages.impression import ATTEMPTS, DISTURBED_SHARE, impression, is_far_slower
from tests.search.world import measured

ONE = Candidate(runtime="ort", recipe="static")
QUIET, RESTLESS = DISTURBED_SHARE - 0.01, DISTURBED_SHARE


def found(ratio: float, disturbed_share: float | None) -> Measured:
    """It takes `ratio` times as long as the baseline, while so many blocks were disturbed."""
    health = None if disturbed_share is None else Health(load_before=1.0, load_after=1.0, disturbed_share=disturbed_share)
    return replace(measured(ONE, {1: ratio, 8: ratio}), health=health)


@dataclass
class Machine:
    """What it measures one time after the other."""

    says: Sequence[Measured]
    asked: list[int] = field(default_factory=list)

    def __call__(self, attempt: int) -> Measured:
        self.asked.append(attempt)
        return self.says[attempt]


def never(_: Measured) -> bool:
    return False


@pytest.mark.parametrize(
    ("says", "attempts"),
    [
        ([found(3.0, QUIET)], 1),
        ([found(3.0, None)], 1),
        ([found(1.5, RESTLESS)], 1),
        ([found(0.5, 0.9)], 1),
        ([found(3.0, RESTLESS), found(0.5, RESTLESS)], 2),
        ([found(3.0, RESTLESS), found(2.9, QUIET)], 2),
        ([found(3.0, RESTLESS), found(3.0, RESTLESS), found(0.5, QUIET)], 3),
        ([found(3.0, RESTLESS)] * ATTEMPTS, ATTEMPTS),
    ],
)
def test_what_is_far_slower_on_a_disturbed_machine_is_measured_again(says: Sequence[Measured], attempts: int) -> None:
    machine = Machine(says)
    assert impression(ONE.name, machine, never) is says[attempts - 1]
    assert machine.asked == list(range(attempts)), "each attempt is another"


def test_so_is_what_the_search_would_not_ask_for_its_answers(events: list[Event]) -> None:
    machine = Machine([found(1.2, 0.4), found(0.4, 0.4)])
    assert impression(ONE.name, machine, lambda one: one is machine.says[0]) is machine.says[1]
    (note,) = [event.detail for event in events if event.kind == "note"]
    assert note == "its first impression is taken again: it is slow, and the machine was disturbed in 40% of the blocks"


def test_slow_at_one_size_only_is_not_far_slower() -> None:
    assert not is_far_slower(measured(ONE, {1: 3.0, 8: 1.0}), ONE.name)
    assert not is_far_slower(measured(ONE, {}), ONE.name)
    assert not is_far_slower(found(3.0, None), "another")
