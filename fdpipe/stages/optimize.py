"""optimize: a recipe's passes over the graph, one after the other."""

import shutil
from pathlib import Path

from fdpipe.artifacts import Artifact, Ranges
from fdpipe.content import tree_digest
from fdpipe.interfaces import Pass
from fdpipe.store import stage


@stage(machine_bound=True)
def optimize(folder: Path, passes: tuple[Pass, ...], model: Artifact) -> Artifact:
    """The improved model; without passes the same artifact. An engine's own optimizations may depend on the machine."""
    if not passes:
        return model
    current = model.path
    for number, one in enumerate(passes):
        current = apply_pass(one, current, folder / f"step{number}" / "model.onnx", None)
    return _kept(folder, current, model)


@stage()
def quantize(folder: Path, quantizer: Pass, model: Artifact, ranges: Ranges | None) -> Artifact:
    """The quantized model; `ranges` are None for a quantizer that needs none."""
    return _kept(folder, apply_pass(quantizer, model.path, folder / "step" / "model.onnx", ranges), model)


def apply_pass(one: Pass, source: Path, target: Path, ranges: Ranges | None) -> Path:
    """requires → apply → ensures; where the improved model is."""
    one.requires(source)
    target.parent.mkdir(parents=True)
    one.apply(source, target, ranges)
    one.ensures(source, target)
    return target


def _kept(folder: Path, made: Path, model: Artifact) -> Artifact:
    """The last step's files as the entry's own; the steps before it are dropped."""
    final = folder / "model"
    made.parent.rename(final)
    for step in folder.glob("step*"):
        shutil.rmtree(step)
    path = final / made.name
    size = sum(file.stat().st_size for file in final.iterdir())
    return Artifact(
        kind=model.kind, path=path, digest=tree_digest(final), size_bytes=size, inputs=model.inputs, outputs=model.outputs
    )
