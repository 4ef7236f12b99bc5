"""The line in which requests wait."""

import asyncio
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fdpipe.serving.waiting import Line, Waiting


def waiting(rows: int, kind: object, deadline: float) -> Waiting:
    """Nobody waits for it: the line does not look at its future."""
    future: asyncio.Future[object] = asyncio.Future(loop=_LOOP)
    return Waiting({"x": np.zeros((rows, 1))}, rows, kind, 0.0, deadline, future)  # type: ignore[arg-type]


_LOOP = asyncio.new_event_loop()

ONES = st.lists(st.tuples(st.integers(1, 9), st.sampled_from("abc"), st.integers(0, 5), st.booleans()), max_size=30)


def filled(line: Line, ones: Sequence[tuple[int, str, int, bool]]) -> list[Waiting]:
    """Those that stay; the others were there, too."""
    added = [waiting(rows, kind, deadline) for rows, kind, deadline, _ in ones]
    for one in added:
        line.add(one)
    for one, (*_, leaves) in zip(added, ones, strict=True):
        if leaves:
            line.remove(one)
    return [one for one, (*_, leaves) in zip(added, ones, strict=True) if not leaves]


@given(ones=ONES, max_batch=st.integers(1, 8), batchable=st.booleans())
def test_everyone_is_taken_once_with_their_like_and_the_earliest_first(
    ones: list[tuple[int, str, int, bool]], max_batch: int, batchable: bool
) -> None:
    line = Line(max_batch, batchable=batchable)
    here = filled(line, ones)
    assert (line.requests, line.rows) == (len(here), sum(one.rows for one in here))
    taken: list[Waiting] = []
    while line.requests:
        left = [one for one in here if one not in taken]
        batch = line.take()
        assert batch[0].deadline == min(one.deadline for one in left)
        assert {one.kind for one in batch} == {batch[0].kind}
        assert len(batch) == 1 or (batchable and sum(one.rows for one in batch) <= max_batch)
        like = [one for one in left if one.kind is batch[0].kind]
        assert batch == sorted(like, key=lambda one: one.deadline)[: len(batch)]  # in the order in which they came, if alike
        assert not any(one.stands for one in batch)
        taken += batch
    assert len(taken) == len(here)
    assert (line.rows, line.calls) == (0, 0)


@given(ones=ONES, now=st.integers(0, 5))
def test_who_is_late_leaves(ones: list[tuple[int, str, int, bool]], now: int) -> None:
    line = Line(4, batchable=True)
    here = filled(line, ones)
    late = line.take_late(now)
    assert set(late) == {one for one in here if one.deadline <= now}
    assert line.requests == len(here) - len(late)


def test_calls_are_counted_by_kind() -> None:
    line = Line(4, batchable=True)
    filled(line, [(3, "a", 1, False), (2, "a", 1, False), (1, "b", 1, False)])
    assert line.calls == 3
    assert line.beside(line.first()) == (2, 5)
    alone = Line(4, batchable=False)
    filled(alone, [(3, "a", 1, False), (2, "a", 1, False)])
    assert alone.calls == 2
