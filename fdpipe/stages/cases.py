"""Rows on which an export may part from its original: batches of every size, and values at the edge of what is sent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import EllipsisType

import numpy as np

from fdpipe.arrays import Batch, fit, join, rows_in, take
from fdpipe.artifacts import SourceModel, TensorSpec

BATCH = 256
"""So many rows the export is asked at a time."""

MANY = 1024
MANY_LARGE = 32
LARGE_BYTES = 4096
"""The big batch, and that of rows with more bytes than these or with an axis of any length."""

MOST_CELLS = 256
"""A tensor with more numbers a row is one cell: all its numbers are changed at once. A model with more cells has so many of
them changed, chosen by the seed."""

SEED = 0
BASE_ROWS = 2
"""So many rows of the data each change is made to."""

BEYOND = 10.0
"""Extreme values lie so many times beyond the largest of the data."""

STEPS = 16
"""A long sum in float32 is off by as much as if its numbers were so many steps of float32 larger or smaller."""

UNSEEN = "never seen before"
WORDS = 2000
"""The longest text has so many; no common tokenizer keeps as many."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """Rows to ask both about, the export `at_once` at a time. Where the original refuses them, each of the `blocks` is asked
    by itself. Those that are `made` lie where no data is; `far` ones so far off that rounding may show. A difference on
    rows that are not `judged` is told and refuses nothing."""

    name: str
    blocks: tuple[Batch, ...]
    at_once: int = BATCH
    made: bool = True
    far: bool = False
    judged: bool = True

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """All blocks below each other."""
        return join(self.blocks)


@dataclass(frozen=True)
class Cell:
    """One number or text of a row: the array's name, and its place after the axis of the rows."""

    name: str
    place: tuple[int | EllipsisType, ...]


def questions(features: Batch, model: SourceModel, inputs: Sequence[TensorSpec]) -> tuple[Question, ...]:
    """Everything to ask; `features` are the evaluation rows, `inputs` the graph's.

    Extreme rows count like any other, since a service is sent them: by a wrong unit, or a zero for what is missing. But
    numbers ten times as large carry ten times the rounding, so that one is no difference where the original itself answers
    as differently when float32 rounds the row's numbers otherwise. Missing values are judged in columns, and in tensors that
    have some in the data: a network over pixels answers a NaN by accident, and each library by another one.
    """
    typed = fitted(features, model, inputs)
    base = take(typed, _some(rows_in(typed), BASE_ROWS))
    made = {
        "missing": _missing(base),
        "extreme": _extreme(base, typed, any_length=_of_any_length(inputs)),
        "unseen": _unseen(base, typed),
        "longest": _longest(base) if not any(spec.dtype == "string" for spec in inputs) else (),
    }
    return (
        Question(name="evaluation", blocks=(features,), made=False),
        Question(name="alone", blocks=(take(features, slice(0, 1)),), made=False),
        _many(features, inputs),
        Question(name="empty", blocks=(take(features, slice(0, 0)),), made=False),
        *(
            Question(
                name=name, blocks=blocks, far=name == "extreme", judged=name != "missing" or may_be_missing(features, model)
            )
            for name, blocks in made.items()
            if blocks
        ),
    )


def may_be_missing(features: Batch, model: SourceModel) -> bool:
    """Whether a caller may send missing values: the model takes a data frame's columns, or its data has some."""
    return model.columns or any(np.isnan(array).any() for array in features.values() if array.dtype.kind == "f")


def _many(features: Batch, inputs: Sequence[TensorSpec]) -> Question:
    """The rows again and again, in one batch."""
    bytes_a_row = sum(array[:1].nbytes for array in features.values())
    count = MANY_LARGE if _of_any_length(inputs) or bytes_a_row > LARGE_BYTES else MANY
    tiled = take(features, np.arange(count) % rows_in(features))
    return Question(name="many", blocks=(tiled,), at_once=count, made=False)


def _missing(base: Batch) -> tuple[Batch, ...]:
    """Each float as NaN and each text as empty, cell by cell."""
    kinds: dict[str, tuple[float | str, ...]] = {"f": (np.nan,), "U": ("",)}
    return tuple(changed(base, cell, kinds[_kind(base, cell)]) for cell in cells_of(base, "fU"))


def _extreme(base: Batch, features: Batch, *, any_length: bool) -> tuple[Batch, ...]:
    """Each number at the data's ends, far beyond them on both sides, and 0; cell by cell, and all cells at once.

    Whole numbers beside an axis of any length are ids and masks, which have no beyond.
    """
    names = [name for name, array in base.items() if not (any_length and array.dtype.kind in "iu" and array.ndim > 1)]
    cells = [cell for cell in cells_of(base, "fiub") if cell.name in names]
    if not cells:
        return ()
    values = {cell: _ends(place_of(features, cell)) for cell in cells}
    together = [base]
    for number in range(len(values[cells[0]])):
        row = take(base, slice(0, 1))
        for cell in cells:
            row = changed(row, cell, (values[cell][number],))
        together.append(row)
    return (*(changed(base, cell, values[cell]) for cell in cells), join(together))


def _ends(array: np.ndarray) -> tuple[float, ...]:
    """The smallest and largest value, far beyond both, and 0, as the array's type and float32 hold them."""
    numbers = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    low, high = (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 0.0)
    if array.dtype.kind == "b":
        return (low, high, 0.0, 1.0, 0.0)
    far = BEYOND * max(abs(low), abs(high))
    if array.dtype.kind in "iu":
        whole = np.iinfo(array.dtype)
        return tuple(int(min(max(value, whole.min), whole.max)) for value in (low, high, -far, far, 0.0))
    most = float(min(np.finfo(array.dtype).max, np.finfo(np.float32).max))
    return tuple(float(np.float32(min(max(value, -most), most))) for value in (low, high, -far, far, 0.0))


def _unseen(base: Batch, features: Batch) -> tuple[Batch, ...]:
    """A text that no row has, in each cell of texts."""
    seen = {str(item) for array in features.values() if array.dtype.kind == "U" for item in array.ravel()}
    word = UNSEEN
    while word in seen:
        word += "!"
    return tuple(changed(base, cell, (word,)) for cell in cells_of(base, "U"))


def _longest(base: Batch) -> tuple[Batch, ...]:
    """Each text as long as no tokenizer keeps it, and empty."""
    found = []
    for cell in cells_of(base, "U"):
        words = str(place_of(base, cell).ravel()[0]).split() or ["word"]
        long = " ".join((words * (WORDS // len(words) + 1))[:WORDS])
        found += [changed(take(base, slice(0, 1)), cell, (text,)) for text in (long, "")]
    return tuple(found)


def changed(base: Batch, cell: Cell, values: Sequence[float | str]) -> dict[str, np.ndarray]:
    """The base once for each value, with the cell at that value."""
    count = rows_in(base)
    made = {name: np.tile(array, (len(values), *[1] * (array.ndim - 1))) for name, array in base.items()}
    array = made[cell.name].astype(object) if made[cell.name].dtype.kind == "U" else made[cell.name]
    for number, value in enumerate(values):
        array[(slice(number * count, (number + 1) * count), *cell.place)] = value
    made[cell.name] = array.astype(str) if array.dtype == object else array
    return made


def moved(rows: Batch, seed: int) -> dict[str, np.ndarray]:
    """The rows with each float a few steps of float32 larger or smaller, as the seed has it."""
    random = np.random.default_rng(seed)
    found = dict(rows)
    for name, array in rows.items():
        if array.dtype.kind == "f":
            signs = random.choice((-1.0, 1.0), array.shape)
            found[name] = (array * (1 + signs * STEPS * 2.0**-23)).astype(array.dtype)
    return found


def cells_of(batch: Batch, kinds: str, *, whole: bool = True) -> list[Cell]:
    """The cells of these kinds, at most `MOST_CELLS`. A large tensor is one, or has one for each number if not `whole`."""
    found = [cell for name, array in batch.items() if array.dtype.kind in kinds for cell in _places(name, array, whole=whole)]
    return [found[number] for number in _some(len(found), MOST_CELLS)]


def _places(name: str, array: np.ndarray, *, whole: bool) -> Iterator[Cell]:
    axes = array.shape[1:]
    if whole and np.prod(axes) > MOST_CELLS:
        yield Cell(name, (...,))
    else:
        yield from (Cell(name, place) for place in np.ndindex(*axes))


def place_of(batch: Batch, cell: Cell) -> np.ndarray:
    """The cell in every row: a view, which can be written to."""
    found: np.ndarray = batch[cell.name][(slice(None), *cell.place)]
    return found


def _kind(batch: Batch, cell: Cell) -> str:
    return batch[cell.name].dtype.kind


def _some(count: int, most: int) -> np.ndarray:
    """The numbers below `count`, or so many of them, chosen by the seed, in their order."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(SEED).choice(count, most, replace=False))


def _of_any_length(inputs: Sequence[TensorSpec]) -> bool:
    """Whether some axis but that of the rows is symbolic, as a text's."""
    return any(isinstance(axis, str) for spec in inputs for axis in spec.shape[1:])


def fitted(features: Batch, model: SourceModel, inputs: Sequence[TensorSpec]) -> dict[str, np.ndarray]:
    """The features in the types of the signature or else of the graph: a column of floats may hold whole numbers only."""
    dtypes = {spec.name: spec.dtype for spec in (*inputs, *model.inputs)}
    found = {}
    for name, array in features.items():
        dtype = dtypes.get(name, "string")
        found[name] = array.astype(str) if array.dtype.kind in "OUS" else array
        if dtype != "string" and found[name].dtype.kind != "U":
            found[name] = fit(array, dtype, name)
    return found
