"""Several requests computed by one call, and each given its own rows of what came out."""

import logging
from collections.abc import Callable, Sequence

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.serving.call import Prediction
from fdpipe.serving.waiting import Waiting

log = logging.getLogger(__name__)

Compute = Callable[[Batch], Prediction]
Found = Prediction | Exception


def computed(compute: Compute, batch: Sequence[Waiting]) -> list[Found]:
    """An answer or an error for each; never raises. What cannot be computed together is computed by halves, so that those
    which can be answered are, whatever stood beside them. Who has gone is left out where that is known in time."""
    if len(batch) == 1:
        return [_alone(compute, batch[0])]
    try:
        return _split(compute(_joined(batch)), batch)
    except BaseException as error:
        log.debug("%d requests could not be computed together: %s", len(batch), error)
    half = len(batch) // 2
    return computed(compute, batch[:half]) + computed(compute, batch[half:])


def _alone(compute: Compute, one: Waiting) -> Found:
    if one.future.done():
        return RuntimeError("its caller has gone")
    try:
        return compute(one.records)
    except BaseException as error:
        return _harmless(error)


def _harmless(error: BaseException) -> Exception:
    """The error, as one that ends nothing but its request: no exit, no cancellation, nothing that a future does not take."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    told = RuntimeError(f"the model raised {type(error).__name__}")
    told.__cause__ = error
    return told


def _joined(batch: Sequence[Waiting]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([one.records[name] for one in batch]) for name in batch[0].records}


def _split(found: Prediction, batch: Sequence[Waiting]) -> list[Found]:
    """`ValueError` where not every row got an answer."""
    rows = sum(one.rows for one in batch)
    for name, array in found.answers.items():
        if len(array) != rows:
            raise ValueError(f"the answer {name!r} has {len(array)} rows for {rows} that were computed together")
    parts: list[Found] = []
    start = 0
    for one in batch:
        end = start + one.rows
        tensors = {name: array[start:end] for name, array in found.tensors.items()}
        answers = {name: array[start:end] for name, array in found.answers.items()}
        parts.append(Prediction(records=one.records, tensors=tensors, answers=answers))
        start = end
    return parts
