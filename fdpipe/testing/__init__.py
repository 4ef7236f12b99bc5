"""A fake for every Protocol, one file a room: deterministic, without ONNX, so that the whole line runs in milliseconds."""

from fdpipe.testing.calibrator import FakeCalibrator
from fdpipe.testing.converter import FakeConverter, HarmfulConverter
from fdpipe.testing.corruption import FakeCorruption
from fdpipe.testing.dataset import FakeDataset
from fdpipe.testing.deployer import FakeDeployer
from fdpipe.testing.faulty import DiaryRuntime, Fault, FaultyRuntime
from fdpipe.testing.gate import FakeCheck
from fdpipe.testing.metric import FakeMetric
from fdpipe.testing.model import INPUTS, OUTPUTS, WEIGHTS, FakeModel, answer
from fdpipe.testing.monitor import FakeMonitor, FakeProbe
from fdpipe.testing.passes import FakePass, FakeQuantizer
from fdpipe.testing.processor import FakeProcessor
from fdpipe.testing.runtime import FakeBuilder, FakeEngine, FakeRuntime, HeavyEngine, HeavyRuntime
from fdpipe.testing.search import FakeSearch
from fdpipe.testing.slicer import FakeSlicer
from fdpipe.testing.source import FakeSource

__all__ = [
    "INPUTS",
    "OUTPUTS",
    "WEIGHTS",
    "DiaryRuntime",
    "FakeBuilder",
    "FakeCalibrator",
    "FakeCheck",
    "FakeConverter",
    "FakeCorruption",
    "FakeDataset",
    "FakeDeployer",
    "FakeEngine",
    "FakeMetric",
    "FakeModel",
    "FakeMonitor",
    "FakePass",
    "FakeProbe",
    "FakeProcessor",
    "FakeQuantizer",
    "FakeRuntime",
    "FakeSearch",
    "FakeSlicer",
    "FakeSource",
    "Fault",
    "FaultyRuntime",
    "HarmfulConverter",
    "HeavyEngine",
    "HeavyRuntime",
    "answer",
]
