"""Rows next to the split thresholds of an export's trees, where float32 and float64 part."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fdpipe import graphs
from fdpipe.arrays import Batch, join, rows_in, take
from fdpipe.artifacts import Artifact
from fdpipe.interfaces import Processor
from fdpipe.stages.cases import Cell, cells_of, place_of

if TYPE_CHECKING:
    from onnx import NodeProto

ENSEMBLE = "TreeEnsemble"
"""How the names of all operators of tree ensembles begin."""

MOST_ROWS = 2000
SEED = 0

STEPS = (-2.0, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 2.0)
"""The rows' distances to a threshold, in steps of float32: a column of float64 has values between two of these."""

HALVINGS = 80
"""Of an interval of float64, until its ends are neighbours."""


InputsOfTrees = Callable[[Batch], dict[str, np.ndarray]]
"""Records → the tensors that go into the trees, of shape (rows, elements)."""


@dataclass(frozen=True)
class Threshold:
    """The value at which a tree ensemble splits by one element of its input tensor."""

    tensor: str
    element: int
    value: float


@dataclass(frozen=True)
class Probe:
    """A row of the data and one of its cells, to be set so that the tree's input lies at the threshold."""

    row: int
    cell: Cell
    threshold: Threshold


def rows_at_thresholds(artifact: Artifact, processor: Processor, features: Batch) -> dict[str, np.ndarray] | None:
    """At most `MOST_ROWS` rows of the data, each with one number set so that a tree's input lies at a threshold or a step of
    float32 beside it; None where the export has no trees.

    What stands before the trees, a scaler say, need not be understood: which numbers lead to an element of their input is
    found by changing them, and the value that meets the threshold by halving the data's range.
    """
    if artifact.kind != "onnx" or not (thresholds := _thresholds(artifact.path)):
        return None
    with graphs.told("finding rows at the trees' thresholds"):
        random = np.random.default_rng(SEED)
        inputs_of_trees = _inside(artifact.path, processor, sorted({one.tensor for one in thresholds}))
        leading = _leading(inputs_of_trees, features, random)
        probes = _probes(thresholds, leading, rows_in(features), random)
        met = _met(inputs_of_trees, features, probes) if probes else []
    return _beside(features, met) if met else None


def _inside(path: Path, processor: Processor, names: Sequence[str]) -> InputsOfTrees:
    """What computes these tensors inside the graph."""
    session = graphs.open_inside_out(path)

    def inputs_of_trees(records: Batch) -> dict[str, np.ndarray]:
        tensors = processor.prepare(records)
        asked = [name for name in names if name not in tensors]
        found = dict(zip(asked, session.run(asked, dict(tensors)) if asked else [], strict=True))
        return {name: _flat(found[name] if name in found else tensors[name]) for name in names}

    return inputs_of_trees


def _thresholds(path: Path) -> list[Threshold]:
    """Those of every tree ensemble in the graph, in its order."""
    try:
        ensembles = any(name.startswith(ENSEMBLE) for name in graphs.operators(path))
        nodes = graphs.read(path).graph.node if ensembles else ()
    except graphs.library_errors():  # no ONNX file
        return []
    return list(dict.fromkeys(split for node in nodes if node.op_type.startswith(ENSEMBLE) for split in _splits(node)))


def _splits(node: "NodeProto") -> Iterator[Threshold]:
    """Of one ensemble: the operators that classify and regress list leaves among their nodes, the newer one does not."""
    from onnx import helper, numpy_helper

    given = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    values: Any = given.get("nodes_values") or ()
    for name in ("nodes_values_as_tensor", "nodes_splits"):
        if name in given:
            values = numpy_helper.to_array(given[name])
    modes = given["nodes_modes"] if node.op_type != "TreeEnsemble" else [b"SPLIT"] * len(values)
    for element, value, mode in zip(given["nodes_featureids"], values, modes, strict=True):
        if mode != b"LEAF":
            yield Threshold(node.input[0], int(element), float(value))


def _leading(inputs_of_trees: InputsOfTrees, features: Batch, random: np.random.Generator) -> dict[tuple[str, int], list[Cell]]:
    """Which cells change an element of the trees' inputs, by its tensor and number."""
    row = take(features, random.integers(rows_in(features), size=1))
    found: dict[tuple[str, int], list[Cell]] = {}
    for cell in cells_of(features, "fiu", whole=False):
        column = place_of(features, cell)
        known = column[np.isfinite(column)]
        if known.size == 0 or known.min() == known.max():
            continue
        ends = join([row, row])
        place_of(ends, cell)[...] = (known.min(), known.max())
        for name, array in inputs_of_trees(ends).items():
            differs = (array[0] != array[1]) & (array == array).any(axis=0)  # of two NaN, each differs from itself
            for element in np.flatnonzero(differs):
                found.setdefault((name, int(element)), []).append(cell)
    return found


def _probes(
    thresholds: list[Threshold], leading: dict[tuple[str, int], list[Cell]], rows: int, random: np.random.Generator
) -> list[Probe]:
    """As many as there may be; each threshold with some row of the data, and again with others where there are few."""
    reached = [one for one in thresholds if (one.tensor, one.element) in leading]
    order = random.permutation(len(reached))
    found = []
    for number in range(MOST_ROWS // len(STEPS) if reached else 0):
        threshold = reached[order[number % len(order)]]
        cells = leading[threshold.tensor, threshold.element]
        found.append(Probe(int(random.integers(rows)), cells[random.integers(len(cells))], threshold))
    return found


def _met(inputs_of_trees: InputsOfTrees, features: Batch, probes: list[Probe]) -> list[tuple[Probe, float]]:
    """The probes whose threshold lies within the data's range, each with the first value beyond it."""
    columns = [place_of(features, probe.cell) for probe in probes]
    low, high = (np.array([float(end(column)) for column in columns]) for end in (np.nanmin, np.nanmax))
    rows = take(features, np.array([probe.row for probe in probes]))

    def sides(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether the trees' inputs are above the thresholds, and the values as the columns hold them."""
        kept = _set(rows, probes, values)
        inputs = inputs_of_trees(rows)
        found = [inputs[one.threshold.tensor][number, one.threshold.element] for number, one in enumerate(probes)]
        return np.array([value > one.threshold.value for value, one in zip(found, probes, strict=True)]), kept

    (at_low, low), (at_high, high) = sides(low), sides(high)
    for _ in range(HALVINGS):
        at_middle, middle = sides(low + (high - low) / 2)
        low, high = np.where(at_middle == at_low, middle, low), np.where(at_middle == at_low, high, middle)
    return [(probe, high[number]) for number, probe in enumerate(probes) if at_low[number] != at_high[number]]


def _set(rows: dict[str, np.ndarray], probes: list[Probe], values: np.ndarray) -> np.ndarray:
    """Set each row's own cell to its value, rounded down where the cell is a whole number; the values as they are then."""
    kept = []
    for number, (probe, value) in enumerate(zip(probes, values, strict=True)):
        place = (number, *probe.cell.place)
        rows[probe.cell.name][place] = value
        kept.append(float(rows[probe.cell.name][place]))
    return np.array(kept)


def _beside(features: Batch, met: list[tuple[Probe, float]]) -> dict[str, np.ndarray]:
    """Rows at the value and around it; of whole numbers at the value and one below."""
    found = []
    for probe, value in met:
        whole = features[probe.cell.name].dtype.kind in "iu"
        step = 1.0 if whole else float(np.spacing(np.float32(abs(value))))
        found += [(probe, value + count * step) for count in ((-1.0, 0.0) if whole else STEPS)]
    probes = [probe for probe, _ in found]
    rows = take(features, np.array([probe.row for probe in probes]))
    _set(rows, probes, np.array([value for _, value in found]))
    return rows


def _flat(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), -1)
