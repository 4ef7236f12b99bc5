"""The budget of a search, with a clock that is set by hand."""

from dataclasses import dataclass, replace

import pytest

from fdpipe.artifacts import Candidate
from fdpipe.clock import Clock
from fdpipe.plan import Budget
from fdpipe.space import Proposal


@dataclass
class Hands:
    """The time that it is."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


def proposals(*names: str) -> list[Proposal]:
    return [Proposal(candidate=candidate(name)) for name in names]


def candidate(name: str) -> Candidate:
    runtime, _, recipe = name.partition("/")
    return Candidate(runtime=runtime, recipe=recipe)


def clock(hands: Hands, **taken: float) -> Clock:
    found = Clock(budget=Budget(max_trials=5, max_seconds=100), now=hands)
    for name, seconds in taken.items():
        found.note(candidate(name.replace("_", "/")), seconds)
    return found


def test_a_trial_probably_takes_as_long_as_those_like_it() -> None:
    found = clock(Hands(), ort_none=1.0, ort_static=10.0, vino_none=3.0, vino_static=20.0)
    assert found.typical(candidate("ort/static")) == 10
    assert found.typical(candidate("other/static")) == 15
    assert found.typical(candidate("ort/new")) == 5.5
    assert found.typical(candidate("other/new")) == 6.5
    assert clock(Hands()).typical(candidate("ort/none")) == 0


def test_another_session_is_measured_and_not_made_anew() -> None:
    found = clock(Hands(), ort_none=2.0, ort_static=60.0, vino_static=40.0)
    other = replace(candidate("ort/static"), session={"threads": 1})
    assert found.typical(other) == 60, "of no other session anything is known"
    found.note(replace(candidate("ort/none"), session={"threads": 1}), 3.0)
    assert found.typical(other) == 3, "another session of the same runtime is nearer than what made the model"
    found.note(other, 7.0)
    assert found.typical(replace(other, session={"threads": 2})) == 7
    assert found.typical(candidate("ort/static")) == 7, "whose model is made"
    assert found.typical(candidate("other/static")) == 50, "and sessions say nothing of what is to be made"


def test_nodes_in_float_take_as_long_as_other_sets_of_them() -> None:
    found = clock(Hands(), ort_none=2.0, ort_static=60.0)
    one, other = (replace(candidate("ort/static"), floats=floats) for floats in (("a",), ("a", "b")))
    assert found.typical(one) == 60
    found.note(one, 9.0)
    assert found.typical(other) == 9
    assert found.typical(replace(other, runtime="vino")) == 9
    assert found.typical(replace(candidate("ort/static"), calibrator="mse")) == 34.5, "of calibrators nothing is known"


def test_several_models_in_one_are_a_kind_of_their_own() -> None:
    found = clock(Hands())
    parts = Candidate(runtime="by_rows", recipe="none", parts=((1, candidate("ort/none")), (8, candidate("vino/none"))))
    found.note(candidate("ort/none"), 4.0)
    found.note(parts, 11.0)
    other = replace(parts, parts=((1, candidate("vino/none")), (32, candidate("ort/none"))))
    assert found.typical(other) == 11
    assert found.typical(candidate("vino/none")) == 4


def test_what_was_given_up_on_the_way_says_nothing_of_what_is_not() -> None:
    found = clock(Hands(), ort_none=6.0)
    found.note(candidate("ort/static"), 0.1, whole=False)
    assert found.typical(candidate("vino/static")) == 6
    alone = clock(Hands())
    alone.note(candidate("ort/static"), 0.1, whole=False)
    assert alone.typical(candidate("vino/static")) == 0.1, "where nothing else is known"


def test_no_trial_is_begun_that_would_end_too_late_but_a_shorter_one_is() -> None:
    hands = Hands()
    found = clock(hands, ort_none=1.0, ort_static=30.0)
    both = proposals("ort/static", "ort/none")
    assert found.next_of(both) is both[0]
    hands.seconds = 80
    assert found.next_of(both) is both[1]
    assert found.spent(2, both) is None
    hands.seconds = 99.5
    assert found.next_of(both) is None
    assert found.spent(2, both) == "100 s of search.max_seconds=100 are used, and a trial takes about 1 s"


def test_the_number_of_trials_is_bounded() -> None:
    assert clock(Hands()).spent(4, proposals("ort/none")) is None
    assert clock(Hands()).spent(5, proposals("ort/none")) == "search.max_trials=5 are tried"


def test_no_budget_is_never_used_up() -> None:
    hands = Hands()
    found = Clock(budget=Budget(), now=hands)
    found.note(candidate("ort/none"), 1e6)
    hands.seconds = 1e9
    assert found.spent(10**6, proposals("ort/none")) is None


def test_what_was_stored_took_no_time() -> None:
    hands = Hands(50)
    found = clock(hands)
    assert found.left == 100, "it begins when it is made"
    assert found.spent(1, proposals("ort/none")) is None


@pytest.mark.parametrize(
    ("tried", "expected", "place"),
    [
        (1, 2, "trial 2 of about 3, about 31 s left"),
        (1, 4, "trial 2 of about 5, about 62 s left"),
        (1, 40, "trial 2 of about 5, about 62 s left"),
        (4, 40, "trial 5 of about 5, about 30 s left"),
    ],
)
def test_it_says_where_the_search_stands(tried: int, expected: int, place: str) -> None:
    found = clock(Hands(), ort_none=1.0, ort_static=30.0)
    assert found.place(tried, proposals("ort/static", "ort/none"), expected) == place


def test_what_is_left_is_no_more_than_the_budget() -> None:
    found = clock(Hands(), ort_none=80.0)
    assert found.place(1, proposals("ort/none"), 4) == "trial 2 of about 5, about 100 s left"
    assert Clock(budget=Budget(), now=Hands()).place(0, proposals("ort/none"), 3) == "trial 1 of about 3"
