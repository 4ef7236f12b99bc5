"""optimize: a recipe's passes over the graph, one after the other."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fdpipe import graphs, workers
from fdpipe.artifacts import Artifact, Ranges, Rows, TensorSpec, WorkerSpec
from fdpipe.content import tree_digest
from fdpipe.interfaces import Calibration, Pass
from fdpipe.stages.calibrate import batches_of
from fdpipe.store import stage


@stage(machine_bound=True)
def optimize(folder: Path, passes: tuple[Pass, ...], model: Artifact) -> Artifact:
    """The improved model; without passes the same artifact. An engine's own optimizations may depend on the machine."""
    if not passes:
        return model
    current = model.path
    for number, one in enumerate(passes):
        current = apply_pass(one, current, folder / f"step{number}", Calibration())
    return _kept(folder, current, passes[-1].gives, model)


@stage()
def quantize(
    folder: Path,
    quantizer: Pass,
    model: Artifact,
    ranges: Ranges | None,
    processor: WorkerSpec | None = None,
    rows: Rows | None = None,
) -> Artifact:
    """The quantized model. `ranges` are None for a quantizer that needs none, processor and calibration rows for one that
    does not see the rows itself."""
    batches = None
    if processor is not None and rows is not None:
        bound, features = workers.build_spec(processor), rows.load().features
        batches = lambda: batches_of(bound, features, model.inputs)  # noqa: E731 - what is asked for again and again
    made = apply_pass(quantizer, model.path, folder / "step", Calibration(ranges=ranges, batches=batches))
    return _kept(folder, made, quantizer.gives, model)


NAMES = {"onnx": "model.onnx", "openvino": "model.xml"}
"""What a model's file is called, by its kind."""


def apply_pass(one: Pass, source: Path, folder: Path, calibration: Calibration) -> Path:
    """requires → apply → ensures; where the improved model is, in the new folder."""
    target = folder / NAMES.get(one.gives, "model")
    one.requires(source)
    folder.mkdir(parents=True)
    one.apply(source, target, calibration)
    one.ensures(source, target)
    return target


def _kept(folder: Path, made: Path, kind: str, model: Artifact) -> Artifact:
    """The last step's files as the entry's own; the steps before it are dropped."""
    final = folder / "model"
    made.parent.rename(final)
    for step in folder.glob("step*"):
        shutil.rmtree(step)
    path = final / made.name
    size = sum(file.stat().st_size for file in final.iterdir())
    inputs, outputs = _interface(path, kind, model)
    return Artifact(kind=kind, path=path, digest=tree_digest(final), size_bytes=size, inputs=inputs, outputs=outputs)


def _interface(path: Path, kind: str, model: Artifact) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """What goes in and out: the old model's, with the lengths of axes that a pass has fixed. Nothing else may have changed."""
    if kind != "onnx" or not graphs.is_onnx(path):
        return model.inputs, model.outputs
    found = {one.name: one for ones in graphs.specs(path) for one in ones}
    return tuple(_fixed(one, found) for one in model.inputs), tuple(_fixed(one, found) for one in model.outputs)


def _fixed(old: TensorSpec, found: Mapping[str, TensorSpec]) -> TensorSpec:
    new = found.get(old.name, old).shape
    if len(new) != len(old.shape):
        return old
    pairs = zip(old.shape, new, strict=True)
    return replace(old, shape=tuple(now if isinstance(was, str) and isinstance(now, int) else was for was, now in pairs))
