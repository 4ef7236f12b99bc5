"""What holds for every monitor."""

import re
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from prometheus_client import CollectorRegistry, generate_latest

from fdpipe import workers
from fdpipe.artifacts import Artifact, Candidate, Manifest, ModelRef, Task, TensorSpec, WorkerSpec
from fdpipe.interfaces import Exchange, Monitor

CONF = Path(__file__).parents[2] / "conf"

INPUTS = (TensorSpec(name="x", dtype="float32", shape=("rows", 2)), TensorSpec(name="city", dtype="string", shape=("rows",)))

RELEASE = Manifest(
    service="tiny-cpu",
    digest="d" * 64,
    model=ModelRef(name="tiny", version="3", uri="models:/tiny/3", digest="0" * 64),
    target="cpu",
    candidate=Candidate(runtime="onnxruntime", recipe="none"),
    task=Task.CLASSIFICATION,
    artifact=Artifact(kind="onnx", path=Path("model.onnx"), digest="0" * 64, size_bytes=1, inputs=INPUTS, outputs=()),
    processor=WorkerSpec(room="processor", settings={}),
    runtime=WorkerSpec(room="runtime", settings={}),
    monitors={},
    inputs=INPUTS,
    answers=(TensorSpec(name="label", dtype="int64", shape=("rows",)),),
    input_ranges={"x": (0.0, 1.0)},
    timeout_s=1.0,
    max_body_mib=1.0,
    versions={},
)


def exchange(x: object, *, city: str = "Bern", label: object = 0) -> Exchange:
    """An answered request whose rows are `x`."""
    array = np.asarray(x, np.float32)
    cities = np.array([city] * len(array), dtype=object)
    labels = np.broadcast_to(np.asarray(label), len(array))
    return Exchange(
        protocol="oip_rest", status=200, seconds=0.003, records={"x": array, "city": cities}, tensors={"x": array},
        answers={"label": labels},
    )  # fmt: skip


def figures(registry: CollectorRegistry) -> dict[str, float]:
    """What a scrape shows, by the sample as it is written."""
    lines = generate_latest(registry).decode().splitlines()
    return {name: float(figure) for name, _, figure in (line.rpartition(" ") for line in lines if not line.startswith("#"))}


class MonitorContract(ABC):
    """Inherit it and give the worker."""

    @abstractmethod
    def monitor(self) -> Monitor:
        """The worker."""

    @pytest.fixture
    def registry(self) -> CollectorRegistry:
        return CollectorRegistry()

    def test_settings_travel(self) -> None:
        assert workers.build("monitor", workers.describe(self.monitor())) == self.monitor()

    def test_its_file_holds_the_defaults(self) -> None:
        file = CONF / "monitor" / f"{type(self.monitor()).__module__.rpartition('.')[2]}.yaml"
        settings = OmegaConf.to_container(OmegaConf.load(file))
        assert isinstance(settings, dict)
        worker = workers.build("monitor", {str(key): value for key, value in settings.items()})
        assert worker == type(self.monitor())()
        assert file.read_text().startswith(f"# @package monitor.{file.stem}\n")

    def test_names_follow_the_conventions(self, registry: CollectorRegistry) -> None:
        self.monitor().start(RELEASE, registry)
        families = list(registry.collect())
        assert families
        for family in families:
            assert re.fullmatch(r"fdpipe_[a-z_]+", family.name), family.name
            assert family.documentation
            units = ("_seconds", "_bytes", "_ratio", "_info", "_in_flight")
            assert family.type == "counter" or family.name.endswith(units), family.name

    def test_any_exchange_is_seen(self, registry: CollectorRegistry) -> None:
        probe = self.monitor().start(RELEASE, registry)
        for one in (
            exchange([[0.5, 0.5]]),
            exchange([[np.nan, np.inf]], city="", label="a"),
            exchange(np.empty((0, 2))),
            Exchange(protocol="bentoml", status=400, seconds=0.0, error="bad_request"),
            Exchange(protocol="bentoml", status=200, seconds=0.0, answers={"value": np.array([1.5])}),
        ):
            probe.observe([one], 0)
        probe.observe([exchange([[0.5, 0.5]]), exchange([[0.1, 0.2], [0.3, 0.4]], label="a")], 3)
        probe.observe([], 0)

    def test_two_of_them_do_not_meet(self) -> None:
        first, second = CollectorRegistry(), CollectorRegistry()
        self.monitor().start(RELEASE, second)
        before = figures(second).keys()
        self.monitor().start(RELEASE, first).observe([exchange([[2.0, 2.0]])], 0)
        assert figures(second).keys() == before
