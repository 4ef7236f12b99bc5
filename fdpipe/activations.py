"""What flows through a graph on rows: every float tensor is seen once, reduced where it is made, and let go."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from fdpipe import graphs, pieces
from fdpipe.arrays import Batch
from fdpipe.errors import StageError

T = TypeVar("T")

THREADS = 8
"""At most: each holds the tensors of a piece of the graph on its own batch."""

Range = tuple[float, float]


def values_inside(
    path: Path, batches: Iterable[Batch], of: Callable[[np.ndarray], T], join: Callable[[T, T], T]
) -> dict[str, T]:
    """What `of` makes of each float tensor of each batch, inputs included, joined in the order of the batches.

    `of` gets the finite values, flat, of a tensor that has some, and must not keep them; the largest number of a type, with
    which masks mean infinity, is none of them. As many batches as there are cores
    are run at the same time. `StageError` where there are none, or where the graph does not take them.
    """
    with graphs.told("opening the model"):
        opened = pieces.opened(path)
    found = _folded(_in_order(lambda batch: _reduced(opened.floats(batch), of), batches), join)
    for name, other in opened.same.items():  # in the order of the nodes
        if other in found:
            found[name] = found[other]
    return found


def values_going_in(batches: Iterable[Batch], of: Callable[[np.ndarray], T], join: Callable[[T, T], T]) -> dict[str, T]:
    """The same for the inputs alone, for which nothing has to be run."""
    return _folded(_in_order(lambda batch: _reduced(pieces.floats_of(batch.items()), of), batches), join)


def extremes(values: np.ndarray) -> Range:
    """The smallest and the largest value."""
    return float(values.min()), float(values.max())


def wider(one: Range, other: Range) -> Range:
    """The range that holds both."""
    return min(one[0], other[0]), max(one[1], other[1])


def _in_order(work: Callable[[Batch], dict[str, T]], batches: Iterable[Batch]) -> Iterator[dict[str, T]]:
    """The work on each batch, done by several threads; no batch is asked for before there is one for it."""
    cores = min(THREADS, len(os.sched_getaffinity(0)))
    running: deque[Future[dict[str, T]]] = deque()
    empty = True
    with ThreadPoolExecutor(cores) as threads:
        for batch in batches:
            empty = False
            running.append(threads.submit(work, batch))
            if len(running) == cores:
                yield _result(running)
        while running:
            yield _result(running)
    if empty:
        raise StageError("there are no calibration rows")


def _result(running: "deque[Future[dict[str, T]]]") -> dict[str, T]:
    with graphs.told("running the model on calibration rows"):
        return running.popleft().result()


def _folded(found: Iterable[Mapping[str, T]], join: Callable[[T, T], T]) -> dict[str, T]:
    whole: dict[str, T] = {}
    for one in found:
        for name, item in one.items():
            whole[name] = join(whole[name], item) if name in whole else item
    return whole


def _reduced(tensors: Iterable[tuple[str, np.ndarray]], of: Callable[[np.ndarray], T]) -> dict[str, T]:
    found: dict[str, T] = {}
    for name, array in tensors:
        finite = _finite(array.ravel())
        if finite.size:
            found[name] = of(finite)
    return found


def _finite(values: np.ndarray) -> np.ndarray:
    """Without NaN, infinity, and the largest number of the type, with which a transformer's mask means infinity. The extremes
    tell whether there is one; mostly there is none, and nothing is copied."""
    most = np.finfo(values.dtype).max
    if values.size and not -most < values.min() <= values.max() < most:
        values = values[np.abs(values) < most]
    return values
