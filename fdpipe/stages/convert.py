"""convert: the original as ONNX, with a certificate that both answer alike."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from fdpipe import isolation, workers
from fdpipe.arrays import Batch, in_batches, rows_in, save_arrays, take
from fdpipe.artifacts import Answers, Artifact, Baseline, Parity, Precision, Rows, SourceModel, Task
from fdpipe.content import files_below, tree_digest
from fdpipe.errors import ConversionError, SourceError
from fdpipe.interfaces import Converter, Export, Processor, Runtime
from fdpipe.isolation import Original
from fdpipe.plan import Conversion, Tolerance
from fdpipe.store import stage

BATCH = 256
ALONE = 8
"""So many rows are also asked one by one: a graph that holds on to a batch size answers them otherwise, or not at all."""

Worker = TypeVar("Worker", Converter, Processor)


@stage()
def convert(
    folder: Path,
    converters: Mapping[str, Converter],
    processors: Mapping[str, Processor],
    runtimes: Mapping[str, Runtime],
    model: SourceModel,
    rows: Rows,
    how: Conversion,
    tolerance: Tolerance,
) -> Baseline:
    """The first converter that accepts the model and makes what one of the runtimes opens, and the first processor that
    accepts it; it and its export answer the evaluation rows."""
    converter, runtime = _converter(converters, runtimes, model)
    processor = _first("processor", processors, model)
    scratch = folder / "scratch"
    scratch.mkdir()
    try:
        with isolation.opened(converter, model, how, scratch) as original:
            return _convert(folder, original, processor, converter.kind, runtime, model, rows, tolerance)
    finally:
        shutil.rmtree(scratch)


def _convert(
    folder: Path,
    original: Original,
    processor: Processor,
    kind: str,
    runtime: Runtime,
    model: SourceModel,
    rows: Rows,
    tolerance: Tolerance,
) -> Baseline:
    (folder / "model").mkdir()
    (folder / "processor").mkdir()
    export = original.export(folder / "model", Precision.FLOAT32)
    artifact = _artifact(export, kind)
    bound = processor.bind(model, artifact.inputs, folder / "processor")
    features = rows.load().features
    try:
        tensors = bound.prepare(features)
    except ValueError as error:
        raise SourceError(f"the {rows.role} rows do not fit {model.ref.name}: {error}") from error
    answers = original.predict(features)
    parity = compare(export.task, answers, bound.finish(_ask(runtime, artifact, tensors, folder / "opened")), tolerance)
    path = folder / "reference.npz"
    return Baseline(
        artifact=artifact,
        task=export.task,
        processor=workers.spec("processor", bound, _files_of_processor(folder / "processor")),
        parity=parity,
        reference=Answers(path=path, digest=save_arrays(path, answers)),
    )


def _files_of_processor(folder: Path) -> Path | None:
    """The folder, if the processor has written something into it."""
    if any(folder.iterdir()):
        return folder
    folder.rmdir()
    return None


def _converter(
    converters: Mapping[str, Converter], runtimes: Mapping[str, Runtime], model: SourceModel
) -> tuple[Converter, Runtime]:
    """The converter, and the first runtime that opens what it makes."""
    useful = {name: one for name, one in converters.items() if opening(runtimes, one.kind)}
    try:
        converter = _first("converter", useful, model)
    except ConversionError as error:
        other = next((one for one in converters.values() if one.accepts(model)), None)
        hint = f"; what {type(other).__name__} makes is {other.kind}, which {', '.join(runtimes)} cannot open" if other else ""
        raise ConversionError(f"{error}{hint}") from error
    return converter, next(iter(opening(runtimes, converter.kind).values()))


def opening(runtimes: Mapping[str, Runtime], kind: str) -> dict[str, Runtime]:
    """Those of the runtimes that take such an artifact."""
    return {name: one for name, one in runtimes.items() if kind in one.kinds}


def compare(task: Task, original: Batch, exported: Batch, tolerance: Tolerance) -> Parity:
    """The certificate; `ConversionError` with the worst row where the export is further from the original than allowed."""
    if missing := sorted(set(original) - set(exported)):
        raise ConversionError(f"the export has no answer {missing[0]!r}: it has {', '.join(sorted(exported))}")
    relative = task is not Task.CLASSIFICATION
    allowed = tolerance.values if relative else tolerance.probabilities
    flips = np.zeros(rows_in(original), bool)
    distances = np.zeros(rows_in(original))
    for name, ours in original.items():
        theirs = exported[name]
        if ours.shape != theirs.shape:
            raise ConversionError(f"the export's {name} has the shape {theirs.shape}, the original's {ours.shape}")
        if ours.dtype.kind == "f":
            distances = np.maximum(distances, _distances(ours, theirs, relative=relative))
        else:
            flips |= _by_row(ours.astype(str) != theirs.astype(str))
    row = int(distances.argmax())
    if flips.sum() > tolerance.flips:
        what = f"{flips.sum()} of {len(flips)} rows have another label, {tolerance.flips} are allowed"
        raise _too_far(what, int(flips.argmax()), original, exported)
    if not distances[row] <= allowed:
        kind = "relative difference" if relative else "difference"
        raise _too_far(f"the largest {kind} is {distances[row]:.3g}, {allowed:g} is allowed", row, original, exported)
    return Parity(
        rows=len(flips), flips=int(flips.sum()), largest_difference=float(distances[row]), worst_row=row, tolerance=allowed
    )


def _first(room: str, choices: Mapping[str, Worker], model: SourceModel) -> Worker:
    for worker in choices.values():
        if worker.accepts(model):
            return worker
    kind = f"{model.flavour} model" + (" with columns" if model.columns else "")
    raise ConversionError(f"no {room} takes {model.ref.name}, a {kind}: there are {', '.join(choices) or 'none'}")


def _artifact(export: Export, kind: str) -> Artifact:
    """The export; what lies beside it, external weights, counts in its digest and its size."""
    if fixed := next((spec for spec in export.inputs if spec.shape[:1] != ("rows",)), None):
        raise ConversionError(f"input {fixed.name!r} has the shape {fixed.shape}: export it with a dynamic first axis")
    folder = export.path if export.path.is_dir() else export.path.parent
    return Artifact(
        kind=kind,
        path=export.path,
        digest=tree_digest(folder),
        size_bytes=sum(file.stat().st_size for file in files_below(folder)),
        inputs=export.inputs,
        outputs=export.outputs,
    )


def _ask(runtime: Runtime, artifact: Artifact, tensors: Batch, folder: Path) -> dict[str, np.ndarray]:
    """The export's answers, the first `ALONE` rows asked one by one: a batch size that is built in shows."""
    folder.mkdir()
    engine = runtime.open(runtime.ready(artifact, folder), {})
    try:
        alone = in_batches(take(tensors, slice(0, ALONE)), 1, engine.run)
        together = in_batches(tensors, BATCH, engine.run)
    finally:
        engine.close()
        shutil.rmtree(folder)
    return {name: np.concatenate([alone[name], array[ALONE:]]) for name, array in together.items()}


def _distances(ours: np.ndarray, theirs: np.ndarray, *, relative: bool) -> np.ndarray:
    """How far apart each row's answers are; infinitely where just one is not finite.

    A relative difference is taken to the original's value, or to a hundredth of the values' mean size where that is
    more: close to 0, rounding alone is large.
    """
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.abs(ours - theirs)
        size = np.abs(ours)
        apart = apart / np.maximum(size, size[np.isfinite(size)].mean() / 100 or 1.0) if relative else apart
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    return _by_row(np.where(same, 0.0, np.nan_to_num(apart, nan=np.inf)))


def _by_row(array: np.ndarray) -> np.ndarray:
    """The largest value of each row."""
    found: np.ndarray = array.reshape(len(array), -1).max(axis=1)
    return found


def _too_far(what: str, row: int, original: Batch, exported: Batch) -> ConversionError:
    ours, theirs = (", ".join(f"{name} {_shown(batch[name][row])}" for name in original) for batch in (original, exported))
    return ConversionError(f"the export answers otherwise: {what}; row {row}: original {ours}; export {theirs}")


def _shown(answer: np.ndarray) -> str:
    return np.array2string(np.asarray(answer), precision=7, threshold=16, separator=", ", max_line_width=10_000)
