"""The plan that the packaged conf/ makes for the target `cpu`, in Python: neither Hydra nor OmegaConf is imported."""

from dataclasses import replace
from typing import Any

from fdpipe.calibrator.minmax import MinMax
from fdpipe.converter.onnx import Onnx
from fdpipe.converter.sklearn import Sklearn
from fdpipe.dataset.mlflow import MlflowArtifact
from fdpipe.deployer.local import Local
from fdpipe.gate.batch_invariance import BatchInvariance
from fdpipe.gate.incumbent import Incumbent
from fdpipe.gate.min_quality import MinQuality
from fdpipe.gate.quality import Quality
from fdpipe.gate.speed import Speed
from fdpipe.metric.accuracy import Accuracy
from fdpipe.monitor.host import Host
from fdpipe.monitor.model import Model
from fdpipe.monitor.service import Service
from fdpipe.passes.fuse import Fuse, Level
from fdpipe.passes.int8_dynamic import Int8Dynamic
from fdpipe.passes.int8_static import Int8Static
from fdpipe.plan import DataPlan, Plan, Recipe, Target
from fdpipe.processor.none import Plain
from fdpipe.processor.tabular import Tabular
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.search.grid import Grid
from fdpipe.source.mlflow import Mlflow


def standard_plan(model: str, **changes: Any) -> Plan:  # noqa: ANN401 - any field of Plan
    """The plan for a registered model (`name@alias` or `name/version`), with these fields of `Plan` instead of the usual."""
    basic = Fuse(level=Level.BASIC)
    plan = Plan(
        model=model,
        target=Target(name="cpu", runtimes=("onnxruntime",), description="a server's processor"),
        source=Mlflow(),
        data=DataPlan(
            evaluation=MlflowArtifact(artifact="evaluation.npz"), calibration=MlflowArtifact(artifact="calibration.npz")
        ),
        converter={"onnx": Onnx(), "sklearn": Sklearn()},
        processor={"none": Plain(), "tabular": Tabular()},
        runtime={"onnxruntime": OnnxRuntime()},
        recipe={
            "none": Recipe(),
            "fused": Recipe(passes=(Fuse(),)),
            "int8_dynamic": Recipe(passes=(basic,), quantizer=Int8Dynamic()),
            "int8_static": Recipe(passes=(basic,), calibrator=MinMax(), quantizer=Int8Static()),
        },
        search=Grid(),
        metric={"accuracy": Accuracy()},
        gate={
            "quality": Quality(),
            "floor": MinQuality(),
            "incumbent": Incumbent(),
            "speed": Speed(),
            "batch_invariance": BatchInvariance(),
        },
        deployer=Local(),
        monitor={"service": Service(), "host": Host(), "model": Model()},
    )
    return replace(plan, **changes)
