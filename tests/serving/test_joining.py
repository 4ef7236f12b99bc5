"""Several requests by one call."""

import asyncio
from collections.abc import Collection

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdpipe.arrays import Batch
from fdpipe.serving.call import Prediction
from fdpipe.serving.joining import computed
from fdpipe.serving.waiting import Waiting

_LOOP = asyncio.new_event_loop()


def waiting(value: int, rows: int = 1) -> Waiting:
    future: asyncio.Future[Prediction] = asyncio.Future(loop=_LOOP)
    return Waiting({"x": np.full(rows, value)}, rows, "x", 0.0, 1.0, future)


class Picky:
    """Answers twice what it gets, and nothing where a bad value is among it."""

    def __init__(self, bad: Collection[int]) -> None:
        self.bad = bad
        self.calls = 0

    def __call__(self, records: Batch) -> Prediction:
        self.calls += 1
        if set(records["x"].tolist()) & set(self.bad):
            raise ValueError("bad")
        return Prediction(records=records, tensors=records, answers={"y": 2 * records["x"]})


@given(
    values=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 3)), min_size=1, max_size=20), bad=st.sets(st.integers(0, 20))
)
def test_all_but_the_bad_are_answered(values: list[tuple[int, int]], bad: set[int]) -> None:
    found = computed(Picky(bad), [waiting(*one) for one in values])
    assert [isinstance(one, ValueError) for one in found] == [value in bad for value, _ in values]
    answers = [one.answers["y"].tolist() for one in found if isinstance(one, Prediction)]
    assert answers == [[2 * value] * rows for value, rows in values if value not in bad]


def test_a_bad_one_costs_few_calls() -> None:
    picky = Picky({40})
    computed(picky, [waiting(value) for value in range(64)])
    assert picky.calls == 13  # all, and then two halves six times


def test_a_model_that_forgets_rows_answers_each_alone() -> None:
    def forgets(records: Batch) -> Prediction:
        return Prediction(records=records, tensors=records, answers={"y": records["x"][:1]})

    found = computed(forgets, [waiting(1), waiting(2)])
    assert [one.answers["y"].tolist() for one in found if isinstance(one, Prediction)] == [[1], [2]]


def test_who_has_gone_is_not_computed() -> None:
    gone = waiting(1)
    gone.future.cancel()
    picky = Picky(())
    (found,) = computed(picky, [gone])
    assert isinstance(found, RuntimeError)
    assert picky.calls == 0


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), StopIteration(), asyncio.CancelledError()])
def test_nothing_that_a_model_raises_ends_more_than_its_request(error: BaseException) -> None:
    def raises(records: Batch) -> Prediction:
        raise error

    found = computed(raises, [waiting(1), waiting(2)])
    assert [type(one) for one in found] == [RuntimeError, RuntimeError]
