"""What 8 bits cost at each node: the noise in its own output, and what becomes of the model's answers.

One node after the other is quantized and all others stay in float, which Wu et al. (2020), "Integer Quantization for Deep
Learning Inference: Principles and Empirical Evaluation", section 5, call the sensitivity of a layer. The ratio of signal to
noise is that of ONNX Runtime's own debugging tool (`onnxruntime.quantization.qdq_loss_debug`), here of the node alone.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from fdpipe import graphs
from fdpipe.arrays import Batch
from fdpipe.artifacts import NodeLoss
from fdpipe.sensitivity.eight_bits import NONE, SWITCH, put_beside, put_switches
from fdpipe.sensitivity.float_model import FloatModel, ask, look, opened, read
from fdpipe.sensitivity.spots import Spot

METHOD = "one node at a time"

WEIGHT_BYTES = 2**26
"""So many bytes of rounded weights are in memory at a time, beside the model."""

MULTIPLICATIONS = 2 * 10**11
"""So many may be spent on what becomes of the answers: some seconds of one core."""

PER_NODE = 10**6
"""What running a node costs beside its multiplications, in multiplications."""

FEWEST = 8
"""So many nodes are asked for however large the model is."""

QUIET_DB = 200.0
"""The ratio is bounded by it, and by its negative: a node may lose nothing at all, or everything."""

Batches = Callable[[], Iterable[Batch]]


def losses(path: Path, batches: Batches, multiplications: int = MULTIPLICATIONS) -> tuple[NodeLoss, ...]:
    """Every node that a quantizer would change, the one that loses most first: those whose divergence is known by it, then
    the rest by their ratio of signal to noise.

    `batches()` gives the model's inputs, few rows at a time, again and again. Weights are taken as int8, symmetric, with one
    scale a channel, activations as uint8 between their extremes. The divergence is asked of every node on as many batches as
    `multiplications` allow, or, where they do not even suffice for one, of the nodes with the least ratio. `StageError`
    where the graph cannot be run.
    """
    with graphs.told("looking for what quantization loses"):
        model = look(path, batches())
        ratios = _in_parts(_ratios, model, model.spots, batches)
        calls = multiplications // max(1, model.work_of_a_call + PER_NODE * model.nodes)
        doubtful = sorted(model.spots, key=lambda spot: ratios[spot.output])[: max(FEWEST, calls)]
        enough = max(1, calls // max(1, len(doubtful)))
        gaps = _in_parts(_divergences, model, doubtful, lambda: islice(batches(), enough))
    total = sum(model.work.values()) or 1
    found = [
        NodeLoss(
            node=spot.output,
            operator=spot.operator,
            snr_db=ratios[spot.output],
            divergence=gaps.get(spot.output),
            work=model.work[spot.output] / total,
        )
        for spot in model.spots
    ]
    return tuple(sorted(found, key=lambda one: (one.divergence is None, -(one.divergence or 0.0), one.snr_db)))


def _in_parts(
    find: Callable[[FloatModel, Sequence[Spot], Batches], dict[str, float]],
    model: FloatModel,
    spots: Sequence[Spot],
    batches: Batches,
) -> dict[str, float]:
    """What is found of some spots at a time, so that few rounded weights, and a single session, are in memory."""
    return {name: figure for part in model.parts(spots, WEIGHT_BYTES) for name, figure in find(model, part, batches).items()}


def _ratios(model: FloatModel, spots: Sequence[Spot], batches: Batches) -> dict[str, float]:
    """The ratio of signal to noise of every spot, in dB, by its output."""
    names, graph = _beside(model, spots)
    session = opened(model.path, graph)
    sums = sum(np.array(list(ask(session, names, batch).values()), np.float64) for batch in batches())
    powers = zip(spots, np.reshape(sums, (-1, 2)).tolist(), strict=True)
    return {spot.output: _decibels(signal, noise) for spot, (signal, noise) in powers}


def _beside(model: FloatModel, spots: Sequence[Spot]) -> tuple[list[str], bytes]:
    """The graph with a copy beside every spot, and the names of the sums that it gives."""
    changed = read(model.path)
    return put_beside(changed, spots, model.ranges, model.rounded_weights(spots)), changed.SerializeToString()


def _switched(model: FloatModel, spots: Sequence[Spot]) -> bytes:
    """The graph with a switch at every spot."""
    changed = read(model.path)
    put_switches(changed, spots, model.ranges, model.rounded_weights(spots))
    return bytes(changed.SerializeToString())


def _decibels(signal: float, noise: float) -> float:
    """Of a ratio of powers."""
    if noise == 0:
        return QUIET_DB
    found = 10 * math.log10(signal / noise) if signal > 0 and math.isfinite(signal) and math.isfinite(noise) else -QUIET_DB
    return max(-QUIET_DB, min(QUIET_DB, found))


def _divergences(model: FloatModel, spots: Sequence[Spot], batches: Batches) -> dict[str, float]:
    """How far the answers are from the float model's when a single spot is quantized, by the spot's output."""
    session = opened(model.path, _switched(model, spots))
    names = [value.name for value in session.get_outputs() if value.type.startswith("tensor(")]
    apart = {spot.output: np.zeros((len(names), 2)) for spot in spots}
    for batch in batches():
        wanted = ask(session, names, {**batch, SWITCH: np.asarray(NONE)})
        for spot in spots:
            found = ask(session, names, {**batch, SWITCH: np.asarray(spot.number)})
            apart[spot.output] += [_apart(found[name], wanted[name]) for name in names]
    return {output: max((_relative(gap, size) for gap, size in sums), default=0.0) for output, sums in apart.items()}


def _apart(found: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """The squares' sums of the difference and of what is wanted; of what is no float, how many differ of how many."""
    if wanted.dtype.kind != "f":
        return float(np.sum(found != wanted)), float(wanted.size)
    finite = np.isfinite(wanted)
    with np.errstate(over="ignore"):
        gap = np.square((found - wanted)[finite], dtype=np.float64)
        return float(np.sum(gap)), float(np.sum(np.square(wanted[finite], dtype=np.float64)))


def _relative(gap: float, size: float) -> float:
    """The root of the ratio of two sums of squares; 1 where the one is no number, or the other nothing."""
    if gap == 0:
        return 0.0
    return math.sqrt(gap / size) if size > 0 and math.isfinite(gap) else 1.0
