"""The plan that the packaged conf/ makes for the target `cpu`, in Python: neither Hydra nor OmegaConf is imported."""

import importlib
import pkgutil
from dataclasses import is_dataclass, replace
from types import ModuleType
from typing import Any

from fdpipe import converter, processor
from fdpipe.calibrator.entropy import Entropy
from fdpipe.calibrator.minmax import MinMax
from fdpipe.calibrator.moving_average import MovingAverage
from fdpipe.calibrator.mse import Mse
from fdpipe.calibrator.percentile import Percentile
from fdpipe.dataset.mlflow import MlflowArtifact
from fdpipe.deployer.local import Local
from fdpipe.gate.batch_invariance import BatchInvariance
from fdpipe.gate.budget import Budget as CostBudget
from fdpipe.gate.floor import Floor
from fdpipe.gate.incumbent import Incumbent
from fdpipe.gate.quality import Quality
from fdpipe.gate.speed import Speed
from fdpipe.interfaces import Calibrator
from fdpipe.metric.accuracy import Accuracy
from fdpipe.monitor.host import Host
from fdpipe.monitor.model import Model
from fdpipe.monitor.service import Service
from fdpipe.passes.fuse import Fuse, Level
from fdpipe.passes.int8_dynamic import Int8Dynamic
from fdpipe.passes.int8_static import Int8Static
from fdpipe.passes.nncf_int8 import NncfInt8
from fdpipe.passes.nncf_weights import NncfWeights
from fdpipe.passes.smooth import Smooth
from fdpipe.passes.transformer import FuseTransformer, Fusion
from fdpipe.passes.weight_only import WeightOnly
from fdpipe.plan import Budget, DataPlan, Plan, Recipe, Target
from fdpipe.runtime.by_rows import ByRows
from fdpipe.runtime.native import NativeLibrary
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.runtime.openvino import OpenVino
from fdpipe.search.auto import Auto
from fdpipe.source.mlflow import Mlflow


def standard_plan(model: str, **changes: Any) -> Plan:  # noqa: ANN401 - any field of Plan
    """The plan for a registered model (`name@alias` or `name/version`), with these fields of `Plan` instead of the usual."""
    onnxruntimes = ("onnxruntime", "onnxruntime_cuda")
    basic = Fuse(level=Level.BASIC)
    simple = (basic, FuseTransformer(required=False, fusions=(Fusion.GELU, Fusion.RESIDUAL)))
    smooth = (*simple, Smooth(required=False))
    others: dict[str, Calibrator] = {
        "moving_average": MovingAverage(),
        "entropy": Entropy(),
        "percentile": Percentile(),
        "mse": Mse(),
    }
    plan = Plan(
        model=model,
        target=Target(
            name="cpu", runtimes=("onnxruntime", "openvino", "native", "by_rows", "pyfunc"), description="a server's processor"
        ),
        source=Mlflow(),
        data=DataPlan(
            evaluation=MlflowArtifact(artifact="evaluation.npz"), calibration=MlflowArtifact(artifact="calibration.npz")
        ),
        converter=_every(converter, "export"),
        processor=_every(processor, "prepare"),
        runtime={"onnxruntime": OnnxRuntime(), "openvino": OpenVino(), "native": NativeLibrary(), "by_rows": ByRows()},
        recipe={
            "none": Recipe(),
            "fused": Recipe(passes=(Fuse(),), runtimes=onnxruntimes),
            "transformer": Recipe(passes=(basic, FuseTransformer()), runtimes=onnxruntimes),
            "int8_weights": Recipe(passes=simple, quantizer=WeightOnly(bits=8, block_size=128), runtimes=onnxruntimes),
            "int8_dynamic": Recipe(passes=smooth, quantizer=Int8Dynamic(), runtimes=onnxruntimes),
            "int8_static": Recipe(passes=smooth, calibrator=MinMax(), calibrators=others, quantizer=Int8Static()),
            "nncf_weights": Recipe(quantizer=NncfWeights()),
            "nncf_int8": Recipe(calibrator=MinMax(inputs_only=True), quantizer=NncfInt8()),
        },
        search=Auto(),
        budget=Budget(max_trials=40, max_seconds=600.0),
        metric={"accuracy": Accuracy()},
        gate={
            "quality": Quality(),
            "floor": Floor(),
            "incumbent": Incumbent(),
            "speed": Speed(),
            "budget": CostBudget(),
            "batch_invariance": BatchInvariance(),
        },
        deployer=Local(),
        certifier=OnnxRuntime(),
        monitor={"service": Service(), "host": Host(), "model": Model()},
    )
    return replace(plan, **changes)


def _every(room: ModuleType, method: str) -> dict[str, Any]:
    """Every worker of the room under its module's name: the dataclass there that has the method."""
    names = [one.name for one in pkgutil.iter_modules(room.__path__) if not one.name.startswith("_")]
    modules = {name: importlib.import_module(f"{room.__name__}.{name}") for name in names}
    return {
        name: next(one for one in vars(module).values() if _is_worker(one, module, method))()
        for name, module in modules.items()
    }


def _is_worker(found: object, module: ModuleType, method: str) -> bool:
    return is_dataclass(found) and getattr(found, "__module__", None) == module.__name__ and hasattr(found, method)
