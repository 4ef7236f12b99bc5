"""Engines through the search itself: what is made of a real graph for a GPU that is not here, and what is told of it."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from fdpipe import workers
from fdpipe.arrays import save_arrays
from fdpipe.artifacts import Answers, Artifact, Baseline, Data, ModelRef, Parity, SourceModel, Task, Trial
from fdpipe.calibrator.minmax import MinMax
from fdpipe.metric.cosine import Cosine
from fdpipe.passes.float16 import Float16
from fdpipe.passes.fuse import Fuse, Level
from fdpipe.passes.int8_dynamic import Int8Dynamic
from fdpipe.passes.int8_static import Int8Static, Integers
from fdpipe.pipeline import direct
from fdpipe.plan import Recipe, Target
from fdpipe.processor.none import Plain
from fdpipe.runtime import _cuda
from fdpipe.runtime.ort_format import OrtFormat
from fdpipe.runtime.tensorrt_rtx import TensorRtRtx
from fdpipe.store import LocalStore
from fdpipe.testing.rehearsal import fake_plan
from fdpipe.trials import Given, search
from tests import models, onnx_models

SIGNED = Int8Static(activations=Integers.INT8, activation_symmetric=True, quantize_bias=False, dedicated=True)
BASIC = (Fuse(level=Level.BASIC),)
RECIPES = {
    "none": Recipe(),
    "float16": Recipe(passes=(Float16(),)),
    "int8_static_gpu": Recipe(passes=BASIC, calibrator=MinMax(), quantizer=SIGNED),
    "int8_static": Recipe(passes=BASIC, calibrator=MinMax(), quantizer=Int8Static()),
    "int8_dynamic": Recipe(passes=BASIC, quantizer=Int8Dynamic()),
}


def given(folder: Path) -> Given:
    """The graph as a baseline with rows and the original's answers, as the line has them before the search."""
    artifact: Artifact = onnx_models.artifact(onnx_models.mlp(folder / "onnx" / "model.onnx"))
    x = np.random.default_rng(1).normal(size=(64, 16)).astype(np.float32)
    rows = models.rows_of(folder / "rows", {"x": x})
    answers = folder / "answers.npz"
    baseline = Baseline(
        artifact=artifact, task=Task.TENSORS, processor=workers.spec("processor", Plain(inputs=artifact.inputs, names=("x",))),
        parity=Parity(rows=64, flips=0, largest_difference=0.0, worst_row=None, tolerance=1e-5),
        reference=Answers(path=answers, digest=save_arrays(answers, {"y": onnx_models.mlp_tensors(x)["y"]})),
    )  # fmt: skip
    ref = ModelRef(name="mlp", version="1", uri="", digest="0")
    model = SourceModel(
        ref=ref, flavour="onnx", serialization="", inputs=(), outputs=(), columns=False, path=folder, digest="0"
    )
    return Given(model=model, baseline=baseline, data=Data(evaluation=rows, calibration=rows))


def searched(folder: Path, runtime: TensorRtRtx | OrtFormat, **changes: object) -> dict[str, Trial]:
    """Every recipe on the runtime, by its name."""
    store = LocalStore(folder / "store")
    target = Target(name="here", runtimes=("it",), measured_on=("phone",))
    plan = fake_plan(runtime={"it": runtime}, target=target, recipe=RECIPES, metric={"cosine": Cosine()}, **changes)
    trials = search(plan, plan.runtime, store, given(store.root / "given"), direct)
    return {trial.candidate.recipe: trial for trial in trials}


@pytest.mark.skipif(find_spec("tensorrt_rtx") is None, reason="the extra `rtx` is not installed")
@pytest.mark.skipif(_cuda.missing() is None, reason="there is a GPU")
def test_engines_are_made_without_a_gpu_and_what_it_cannot_take_is_told_by_node(tmp_path: Path) -> None:
    found = searched(tmp_path, TensorRtRtx(compute_capabilities=("SM86",)))
    for recipe in ("none", "float16", "int8_static_gpu"):
        trial = found[recipe]
        assert trial.artifact is not None, trial.reason
        assert trial.artifact.kind == "tensorrt_rtx"
        assert "no NVIDIA GPU" in trial.unmeasured
        assert (trial.evaluation, trial.speed, trial.succeeded, trial.measurable) == (None, None, False, False)
    for recipe, operators in (
        ("int8_static", {"DequantizeLinear"}),
        ("int8_dynamic", {"DynamicQuantizeLinear", "MatMulInteger"}),
    ):
        trial = found[recipe]
        assert trial.artifact is None
        assert "tensorrt_rtx cannot take the model" in (trial.reason or "")
        assert {node.operator for node in trial.unsupported} == operators
        assert all(node.node and node.reason for node in trial.unsupported)


@pytest.mark.skipif(find_spec("tensorrt_rtx") is None, reason="the extra `rtx` is not installed")
@pytest.mark.skipif(_cuda.missing() is None, reason="there is a GPU")
def test_where_a_gpu_does_not_take_the_model_as_it_is_the_others_are_made(tmp_path: Path) -> None:
    """The oldest has no products of float32."""
    found = searched(tmp_path, TensorRtRtx(compute_capabilities=("SM75",)))
    assert found["none"].artifact is None
    assert {node.operator for node in found["none"].unsupported} == {"MatMul"}
    assert found["float16"].artifact is not None
    assert "no NVIDIA GPU" in found["float16"].unmeasured


def test_a_phones_model_is_made_asked_and_compared_with_its_devices(tmp_path: Path) -> None:
    found = searched(tmp_path, OrtFormat(devices=("nnapi",)))
    plain, quantized = found["none"], found["int8_static"]
    for trial in (plain, quantized):
        assert trial.artifact is not None, trial.reason
        assert trial.artifact.kind == "ort"
        assert trial.evaluation is not None
        assert "what counts is its speed on phone" in trial.unmeasured
        assert {node.reason for node in trial.unsupported} == {"nnapi takes it with fixed sizes only"}
    assert plain.evaluation is not None
    assert plain.evaluation.quality["cosine"] == pytest.approx(1.0, abs=1e-6)
    assert quantized.artifact is not None
    assert plain.artifact is not None
    assert quantized.artifact.size_bytes < plain.artifact.size_bytes
