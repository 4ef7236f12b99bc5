"""evaluate: quality on the evaluation rows, agreement with the original, and whether answers depend on batch-mates."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from math import isfinite
from pathlib import Path

import numpy as np

from fdpipe import parts, workers
from fdpipe.arrays import Batch, in_batches, join, label_of, rows_in, save_arrays, take, value_of
from fdpipe.artifacts import Answers, Artifact, Evaluation, Invariance, Rows, Task, WorkerSpec
from fdpipe.errors import StageError
from fdpipe.evidence import agreement_stands, truth_for
from fdpipe.interfaces import Metric, Processor, Runtime, Session
from fdpipe.store import stage

BATCH = 64
"""Rows in a call while the answers are collected."""

INVARIANCE_ROWS = 64
INVARIANCE_BATCHES = (8, 32)
OUTLIER = 20.0
"""How many rows are asked alone and among others, in which batches, and by what the outlier beside them is multiplied."""

PADDED_ROWS = 16
"""How many rows are asked once more, beside one that is longer, where a row's length differs."""

AGREES_RELATIVE = 1e-3
"""A regression's value with a larger `difference` from the original's is another answer."""

AGREES_COSINE = 0.999
"""A tensor whose row has a smaller cosine with the original's is another answer."""

SAME_RELATIVE = 1e-4
"""A larger `difference` between two batches, of a probability as of any other figure, is more than float arithmetic in another
order makes."""

Ask = Callable[[Batch], Batch]


@stage(machine_bound=True)
def evaluate(
    folder: Path,
    runtime: Runtime,
    session: Session,
    artifact: Artifact,
    processor: WorkerSpec,
    task: Task,
    rows: Rows,
    reference: Answers,
    metrics: Mapping[str, Metric],
) -> Evaluation:
    """The candidate beside the original on the same rows. Without labels, and where every metric needs them, quality is the
    agreement between the two; `ConfigError` where only some do.

    It is bound to the machine: one INT8 model answers differently on processors with and without VNNI.
    """
    bound: Processor = workers.build_spec(processor)
    examples, original = rows.load(), reference.load()
    labels = labels_beside(examples.labels, original)
    with closing(runtime.open(artifact, session)) as engine:
        answers = in_batches(examples.features, BATCH, lambda records: bound.finish(engine.run(bound.prepare(records))))
        some = bound.prepare(take(examples.features, slice(INVARIANCE_ROWS)))
        sizes = (*INVARIANCE_BATCHES, *parts.rows_of(artifact))
        ask = lambda batch: bound.finish(engine.run(batch))  # noqa: E731 - what is asked again and again
        longer = _beside_longer(bound, ask, take(examples.features, slice(PADDED_ROWS))) if _has_length(artifact) else None
        invariance = batch_invariance(some, task, ask, sizes, longer)
    agreement = float(np.mean(agrees(task, answers, original)))
    own = {"agreement": agreement} if agreement_stands(metrics, labels is not None) else {}
    path = folder / "answers.npz"
    return Evaluation(
        rows=rows.count,
        quality=scores(metrics, answers, labels, own_labels(task, original), original) | own,
        reference=scores(metrics, original, labels, own_labels(task, original), original) | dict.fromkeys(own, 1.0),
        agreement=agreement,
        answers=Answers(path=path, digest=save_arrays(path, answers)),
        invariance=invariance,
    )


# --- quality ----------------------------------------------------------------------------------------------------------


def labels_beside(labels: np.ndarray | None, original: Batch) -> np.ndarray | None:
    """The labels, one a row where they are a column; `StageError` where they are text and the model's are not, or the other
    way round."""
    if labels is None:
        return None
    labels = labels.ravel() if labels.size == len(labels) else labels
    own = label_of(original)
    if own is not None and (own.dtype.kind in "OUS") != (labels.dtype.kind in "OUS"):
        raise StageError(f"the labels are like {labels[0]!r} and the model's like {own[0]!r}: they must be of one kind")
    return labels


def scores(
    metrics: Mapping[str, Metric],
    answers: Batch,
    labels: np.ndarray | None,
    own: np.ndarray | None,
    original: Batch | None = None,
) -> dict[str, float | None]:
    """Each metric's figure by the labels or, where it needs none, by the `original`'s answers or those as labels (`own`). None
    where it is not finite, or where there is nothing to judge by; no figures at all where `agreement_stands` for them."""
    if agreement_stands(metrics, labels is not None):
        return {}
    truths = {name: truth_for(metric, labels, own, original) for name, metric in metrics.items()}
    figures = {name: None if truth is None else metrics[name].score(answers, truth) for name, truth in truths.items()}
    return {name: figure if figure is not None and isfinite(figure) else None for name, figure in figures.items()}


def own_labels(task: Task, original: Batch) -> np.ndarray | None:
    """The original's answers as labels: a tensor is one as it is, and not the place of its largest figure."""
    own = None if "value" in original or task is Task.TENSORS else label_of(original)
    return value_of(original) if own is None else own


# --- comparison -------------------------------------------------------------------------------------------------------


def agrees(task: Task, answers: Batch, original: Batch) -> np.ndarray:
    """Of each row, whether the answer is the original's: the same label; or a value within `AGREES_RELATIVE`; or, for
    tensors, a cosine of at least `AGREES_COSINE`, and equality of what is no float."""
    found, wanted = label_of(answers), label_of(original)
    if task is Task.CLASSIFICATION and found is not None and wanted is not None:
        return np.asarray(found == wanted)
    if task is Task.REGRESSION:
        return np.asarray(_largest(difference, answers, original) <= AGREES_RELATIVE)
    return np.asarray((_largest(_angle, answers, original) <= 1 - AGREES_COSINE) & _equal(answers, original))


def difference(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Of each row, the largest absolute difference divided by the row's largest magnitude or by the root mean square of all
    rows, whichever is greater: close to 0, a value's own magnitude is no measure. Only finite numbers have a magnitude; a NaN
    or an infinity is infinitely far from anything but the same."""
    found, wanted = _flat(found), _flat(wanted)
    finite = np.isfinite(wanted)
    sizes = np.where(finite, np.abs(wanted), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = np.where(same(found, wanted), 0.0, np.abs(found - wanted)).max(axis=1, initial=0.0)
        scale = np.maximum(sizes.max(axis=1, initial=0.0), np.sqrt(np.mean(np.square(sizes[finite])) if finite.any() else 0.0))
        return np.nan_to_num(np.where(gap == 0, 0.0, gap / scale), nan=np.inf, posinf=np.inf)


def same(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Of each number, whether it is the other; one NaN is like another."""
    return np.asarray((found == wanted) | (np.isnan(found) & np.isnan(wanted)))


def _angle(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Of each row, 1 minus the cosine of its finite numbers; 0 between two rows of zeros, 1 where a NaN or an infinity is not
    in both."""
    found, wanted = _flat(found), _flat(wanted)
    alike, broken = same(found, wanted), ~(np.isfinite(found) & np.isfinite(wanted))
    found, wanted = np.where(broken, 0.0, found), np.where(broken, 0.0, wanted)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.sum(found * wanted, axis=1) / (np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1))
    cosine = np.where((broken & ~alike).any(axis=1), 0.0, np.nan_to_num(cosine, nan=0.0))
    return np.where(alike.all(axis=1), 0.0, 1 - cosine)


def _largest(measure: Callable[[np.ndarray, np.ndarray], np.ndarray], one: Batch, other: Batch) -> np.ndarray:
    """Of each row, the largest measure among the float answers; infinite where one is missing."""
    floats = [
        measure(one[name], array) if name in one else np.full(len(array), np.inf)
        for name, array in other.items()
        if array.dtype.kind == "f"
    ]
    return np.max(floats, axis=0) if floats else np.zeros(rows_in(other))


def _equal(one: Batch, other: Batch) -> np.ndarray:
    """Of each row, whether the answers that are no floats are equal; one that is missing is not."""
    rest = [
        _rows(one[name] == array) if name in one else np.zeros((len(array), 1), bool)
        for name, array in other.items()
        if array.dtype.kind != "f"
    ]
    return np.all([part.all(axis=1) for part in rest], axis=0) if rest else np.ones(rows_in(other), bool)


def _rows(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), -1)


def _flat(array: np.ndarray) -> np.ndarray:
    return _rows(array).astype(np.float64)


# --- batch invariance -------------------------------------------------------------------------------------------------


def batch_invariance(
    batch: Batch,
    task: Task,
    ask: Ask,
    sizes: Sequence[int] = INVARIANCE_BATCHES,
    longer: tuple[Batch, Batch] | None = None,
) -> Invariance:
    """The rows asked alone, in batches of these sizes, and beside an outlier; a row counts as changed if it is in any of
    them. Batches larger than there are rows have these again and again. `longer` are the answers to the first of them as
    they are, and to the same beside a longer row, which pads them."""
    alone = in_batches(batch, 1, ask)
    others = {f"in batches of {size}": in_batches(batch, size, partial(_filled, ask, size)) for size in sizes}
    if (outlier := _outlier(batch)) is not None:
        others[f"beside a {OUTLIER:g}-fold outlier"] = in_batches(
            batch, INVARIANCE_BATCHES[-1] - 1, lambda part: take(ask(join([part, outlier])), slice(rows_in(part)))
        )
    pairs: dict[str, tuple[Batch, Batch]] = {name: (answers, alone) for name, answers in others.items()}
    if longer is not None:
        pairs["beside a longer row"] = longer
    changed = {name: _among(rows_in(batch), _changed(task, *pair)) for name, pair in pairs.items()}
    distance = {name: float(_largest(difference, *pair).max()) for name, pair in pairs.items()}
    return Invariance(
        rows=rows_in(batch),
        changed=int(np.any(list(changed.values()), axis=0).sum()),
        largest_difference=max(distance.values()),
        worst_setting=max(pairs, key=lambda name: (changed[name].sum(), distance[name])),
    )


def _has_length(artifact: Artifact) -> bool:
    """Whether one row may be longer than another."""
    return any(isinstance(axis, str) for spec in artifact.inputs for axis in spec.shape[1:])


def _beside_longer(processor: Processor, ask: Ask, records: Batch) -> tuple[Batch, Batch] | None:
    """The answers to the rows beside one whose texts are twice as long as the longest, and to each row by itself, padded by
    none; None where that changes no row's shape: there are no texts, or all are as long as the model takes."""
    texts = {name: column for name, column in records.items() if column.dtype.kind in "OUS"}
    if not texts:
        return None
    longest = np.sum([[len(str(text)) for text in column.ravel()] for column in texts.values()], axis=0).argmax()
    row = take(records, np.array([int(longest)]))
    for name in texts:
        row[name] = np.array([f"{text} {text}" for text in row[name].ravel()], object).reshape(row[name].shape)
    each = [processor.prepare(take(records, slice(number, number + 1))) for number in range(rows_in(records))]
    padded = processor.prepare(join([records, row]))
    if all(one[name].shape[1:] == array.shape[1:] for one in each for name, array in padded.items()):
        return None
    return take(ask(padded), slice(len(each))), join([ask(one) for one in each])


def _among(rows: int, changed: np.ndarray) -> np.ndarray:
    """Of so many rows, the first of which these are, whether it changed."""
    return np.pad(changed, (0, rows - len(changed)))


def _filled(ask: Ask, size: int, part: Batch) -> Batch:
    """The answers to the rows, asked with as many more that a call has so many, if there are any."""
    rows = rows_in(part)
    return ask(part) if rows in (0, size) else take(ask(take(part, np.arange(size) % rows)), slice(rows))


def _changed(task: Task, answers: Batch, alone: Batch) -> np.ndarray:
    """Of each row, whether any of its answers is another: a probability may move and the label stay."""
    changed = np.asarray((_largest(difference, answers, alone) > SAME_RELATIVE) | ~_equal(answers, alone))
    found, wanted = label_of(answers), label_of(alone)
    if task is Task.CLASSIFICATION and found is not None and wanted is not None:
        changed |= np.asarray(found != wanted)
    return changed


def _outlier(batch: Batch) -> dict[str, np.ndarray] | None:
    """The row of the largest magnitude, its floats multiplied by `OUTLIER`; None where there is nothing to multiply."""
    sizes = [np.nansum(np.abs(_flat(array)), axis=1) for array in batch.values() if array.dtype.kind == "f"]
    total = np.sum(sizes, axis=0) if sizes else np.zeros(1)
    if not total.any():
        return None
    row = take(batch, np.array([int(total.argmax())]))
    return {name: (array * OUTLIER).astype(array.dtype) if array.dtype.kind == "f" else array for name, array in row.items()}
