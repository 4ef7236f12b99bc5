"""TensorRT, of which this environment has neither the library nor the GPU: what it says of that, and how an engine is asked,
with a stand-in for both. What a GPU would show is marked `device` and skipped."""

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from fdpipe import workers
from fdpipe.artifacts import Artifact
from fdpipe.errors import MissingExtra, StageError
from fdpipe.runtime import _cuda
from fdpipe.runtime._tensorrt import About, TensorRtEngine
from fdpipe.runtime.tensorrt import TensorRt
from tests import onnx_models
from tests.contracts.runtime import RuntimeContract
from tests.contracts.settings import built

absent = "the extra `tensorrt` is not installed" if find_spec("tensorrt") is None else _cuda.missing()
X = np.random.default_rng(0).normal(size=(11, 16)).astype(np.float32)


@pytest.mark.device
@pytest.mark.skipif(absent is not None, reason=absent or "")
class TestTensorRt(RuntimeContract):
    @pytest.fixture
    def runtime(self) -> TensorRt:
        return TensorRt(tf32=False)


# --- an engine, by a stand-in -----------------------------------------------------------------------------------------


class Mode(IntEnum):
    """As `TensorIOMode`."""

    INPUT = 1
    OUTPUT = 2


class StandIn:
    """A library, an engine, its context and a device in one: the MLP computed by numpy in this process's memory, through the
    very calls that the library and the driver get."""

    TensorIOMode = Mode
    capability = "SM86"
    num_io_tensors = 2

    def __init__(self) -> None:
        self.held: dict[int, Any] = {}
        self.addresses: dict[str, int] = {}
        self.shape: tuple[int, ...] = ()
        self.calls: list[int] = []
        self.closed = 0
        self.least_rows = 1
        self.room = 10**6

    # the library and the engine
    def nptype(self, kind: type) -> type:
        return kind

    def create_execution_context(self) -> "StandIn":
        return self

    def get_tensor_name(self, number: int) -> str:
        return "xy"[number]

    def get_tensor_mode(self, name: str) -> Mode:
        return Mode.INPUT if name == "x" else Mode.OUTPUT

    def get_tensor_dtype(self, name: str) -> type:
        return np.float32

    # the context
    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        if shape[0] < self.least_rows:
            return False
        self.shape = shape
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (self.shape[0], 10)

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        self.calls.append(self.shape[0])
        x = np.empty(self.shape, np.float32)
        ctypes.memmove(x.ctypes.data, self.addresses["x"], x.nbytes)
        y = onnx_models.mlp_tensors(x)["y"]
        ctypes.memmove(self.addresses["y"], y.ctypes.data, y.nbytes)
        return True

    # the device
    def enter(self) -> None: ...

    def stream(self) -> int:
        return 7

    def wait(self, stream: int) -> None: ...

    def allocate(self, size: int) -> int:
        if size > self.room:
            raise StageError("out of memory")
        memory = ctypes.create_string_buffer(size)
        self.held[ctypes.addressof(memory)] = memory
        return ctypes.addressof(memory)

    def free(self, address: int) -> None:
        del self.held[address]

    def write(self, address: int, array: np.ndarray, stream: int) -> None:
        assert array.nbytes <= len(self.held[address])
        ctypes.memmove(address, array.ctypes.data, array.nbytes)

    def read(self, address: int, array: np.ndarray, stream: int) -> None:
        assert array.nbytes <= len(self.held[address])
        ctypes.memmove(array.ctypes.data, address, array.nbytes)

    def close(self) -> None:
        self.closed += 1


ABOUT = About(library="tensorrt", version="0", capabilities=(), shapes={"x": ((1, 16), (2, 16), (4, 16))})


@pytest.fixture
def device() -> StandIn:
    return StandIn()


@pytest.fixture
def engine(device: StandIn) -> TensorRtEngine:
    return TensorRtEngine(device, device, ABOUT, device)


def test_more_rows_than_it_was_built_for_are_asked_in_parts(engine: TensorRtEngine, device: StandIn) -> None:
    np.testing.assert_allclose(engine.run({"x": X})["y"], onnx_models.mlp_tensors(X)["y"], rtol=1e-5, atol=1e-6)
    assert device.calls == [4, 4, 3]


def test_no_rows_have_no_answers(engine: TensorRtEngine) -> None:
    assert engine.run({"x": X[:0]})["y"].shape == (0, 10)


def test_memory_is_kept_grows_and_is_given_back_once(engine: TensorRtEngine, device: StandIn) -> None:
    for rows in (1, 3, 2, 4):
        engine.run({"x": X[:rows]})
    assert len(device.held) == 2
    engine.close()
    engine.close()
    assert (device.held, device.closed) == ({}, 1)
    with pytest.raises(StageError, match="closed"):
        engine.run({"x": X})


def test_where_there_is_no_memory_for_more_rows_it_goes_on_with_fewer(engine: TensorRtEngine, device: StandIn) -> None:
    engine.run({"x": X[:1]})
    device.room = X[:2].nbytes
    with pytest.raises(StageError, match="out of memory"):
        engine.run({"x": X[:4]})
    np.testing.assert_allclose(engine.run({"x": X[:2]})["y"], onnx_models.mlp_tensors(X[:2])["y"], rtol=1e-5, atol=1e-6)
    engine.close()
    assert device.held == {}


def test_fewer_rows_than_it_was_built_for_are_refused(engine: TensorRtEngine, device: StandIn) -> None:
    """The engine would go on with the shape of the call before."""
    engine.run({"x": X[:4]})
    device.least_rows = 2
    with pytest.raises(StageError, match=r"x has the shape \(1, 16\), for which the engine is not built"):
        engine.run({"x": X[:1]})


def test_it_may_be_run_by_many_threads(engine: TensorRtEngine) -> None:
    batches = [np.random.default_rng(seed).normal(size=(5, 16)).astype(np.float32) for seed in range(32)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda x: engine.run({"x": x})["y"], batches))
    for x, y in zip(batches, found, strict=True):
        np.testing.assert_allclose(y, onnx_models.mlp_tensors(x)["y"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({}, "'x' is missing or not known: there must be x"),
        ({"x": X, "z": X}, "'z' is missing or not known"),
        ({"x": X.astype(np.float64)}, "x must be float32, got float64"),
        ({"x": X[:, :3]}, r"x has the shape \(11, 3\); the engine is built for \(1, 16\) to \(4, 16\)"),
        ({"x": X[0]}, "x has the shape"),
    ],
)
def test_rows_that_do_not_fit_are_refused(engine: TensorRtEngine, batch: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(StageError, match=message):
        engine.run(batch)


# --- building ---------------------------------------------------------------------------------------------------------


BUILDING = """
from pathlib import Path
from fdpipe.runtime._engine_builder import Job
from fdpipe.runtime._tensorrt import _in_a_child

here = Path()
_in_a_child(Job(library="slow", model=here, engine=here, outcome=here / "outcome", axes={}, spans={}), 60)
"""


def eventually(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for it."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.02)


def test_what_builds_dies_with_who_asked(tmp_path: Path) -> None:
    """The library is a stand-in that takes its time."""
    told = tmp_path / "process"
    (tmp_path / "slow.py").write_text(
        f"import os, time; open({str(told)!r}, 'w').write(f'{{os.getpid()}}\\n'); time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    asking = subprocess.Popen([sys.executable, "-c", BUILDING], cwd=tmp_path, env=environment)
    try:
        eventually(lambda: told.is_file() and told.read_text().endswith("\n"))
    finally:
        asking.kill()
        asking.wait()
    builder = int(told.read_text())
    eventually(lambda: not psutil.pid_exists(builder) or psutil.Process(builder).status() == psutil.STATUS_ZOMBIE)


# --- what is missing --------------------------------------------------------------------------------------------------


def test_without_the_library_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingExtra, match=r"pip install 'fdpipe\[tensorrt\]'"):
        TensorRt().check()


@pytest.mark.skipif(_cuda.missing() is None, reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", sys)  # as if it were installed
    with pytest.raises(MissingExtra, match=r"no NVIDIA GPU here.*target=rtx builds without"):
        TensorRt().check()
    with pytest.raises(StageError, match="no NVIDIA GPU"):
        _cuda.Device()


def test_it_opens_its_own_engines_only(tmp_path: Path) -> None:
    artifact: Artifact = onnx_models.artifact(onnx_models.mlp(tmp_path / "model.onnx"))
    with pytest.raises(StageError, match=r"tensorrt opens its own engines, not onnx: model\.onnx"):
        TensorRt().open(artifact, {})


def test_a_span_must_be_one() -> None:
    with pytest.raises(ValueError, match="rows must be the least, the usual and the most"):
        TensorRt(rows=(0, 1, 2))


def test_it_is_made_again_from_its_settings() -> None:
    worker = TensorRt(axes={"sequence": (1, 2, 3)})
    assert workers.build("runtime", workers.describe(worker)) == worker


def test_its_file_builds() -> None:
    assert built("runtime", "tensorrt") == TensorRt()
