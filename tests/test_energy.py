"""Joules: which counters count, once each, over their ranges; what cannot be read says why; an estimate says that it is one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fdpipe.artifacts import Basis
from fdpipe.energy import Counter, Nvml, Rapl, means, spent
from fdpipe.errors import StageError
from fdpipe.testing.energy import fake_means


def zone(root: Path, name: str, called: str, microjoules: int | str, range_microjoules: int = 10**9) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    for file, text in (("name", called), ("energy_uj", microjoules), ("max_energy_range_uj", range_microjoules)):
        (folder / file).write_text(f"{text}\n")
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """Two packages with all that a kernel shows of them."""
    zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 4_000_000)
    zone(tmp_path, "intel-rapl:0:1", "dram", 1_000_000)
    zone(tmp_path, "intel-rapl:1", "package-1", 7_000_000)
    zone(tmp_path, "intel-rapl:1:0", "uncore", 3_000_000)
    zone(tmp_path, "intel-rapl:2", "psys", 90_000_000)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 5_000_000)
    (tmp_path / "intel-rapl").mkdir()
    return tmp_path


def test_each_package_and_its_memory_count_once(server: Path) -> None:
    meter = Rapl(root=server)
    assert meter.absent() == ""
    assert {name: one.joules for name, one in meter.read().items()} == {
        "intel-rapl:0": 5.0,
        "intel-rapl:0:1": 1.0,
        "intel-rapl:1": 7.0,
    }


def test_what_was_spent_is_the_sum_of_all(server: Path) -> None:
    meter = Rapl(root=server)
    before = meter.read()
    (server / "intel-rapl:0" / "energy_uj").write_text("5500000")
    (server / "intel-rapl:0:0" / "energy_uj").write_text("9000000")
    (server / "intel-rapl:1" / "energy_uj").write_text("7250000")
    assert spent(before, meter.read()) == pytest.approx(0.75)


def test_a_counter_that_began_anew_counts_over_its_range(tmp_path: Path) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 262_143_000_000, range_microjoules=262_143_328_850)
    meter = Rapl(root=tmp_path)
    before = meter.read()
    (folder / "energy_uj").write_text("2000000")
    assert spent(before, meter.read()) == pytest.approx(2.32885)


def test_a_counter_without_a_range_never_goes_backwards() -> None:
    with pytest.raises(StageError, match="gpu went backwards"):
        spent({"gpu": Counter(joules=5)}, {"gpu": Counter(joules=4)})


def test_a_counter_that_is_gone_is_no_nothing() -> None:
    with pytest.raises(StageError, match="changed while they were read"):
        spent({"a": Counter(joules=5), "b": Counter(joules=5)}, {"a": Counter(joules=6)})


def test_a_machine_without_counters_says_so(tmp_path: Path) -> None:
    assert Rapl(root=tmp_path).absent() == f"{tmp_path} has no RAPL counter of a processor package"
    assert "no RAPL counter" in Rapl(root=tmp_path / "nowhere").absent()


def test_a_counter_that_may_not_be_read_says_which(tmp_path: Path) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 1)
    (folder / "energy_uj").unlink()
    (folder / "energy_uj").mkdir()  # what not even root can read
    assert "intel-rapl:0/energy_uj cannot be read (Is a directory)" in Rapl(root=tmp_path).absent()


def test_a_counter_that_holds_no_number_is_none(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", "n/a")
    assert Rapl(root=tmp_path).absent().endswith("holds no number")


@pytest.mark.skipif(Path("/proc/driver/nvidia/version").exists(), reason="there is an NVIDIA driver here")
def test_without_a_driver_the_gpu_has_no_counter() -> None:
    assert "energy" in Nvml().absent() or "pip install 'fdpipe[gpu]'" in Nvml().absent()


def test_the_means_of_a_machine(server: Path, tmp_path: Path) -> None:
    found = means(65.0, root=server)
    assert found.processor == Rapl(root=server)
    assert (found.tdp_watts, found.cores) == (65.0, os.cpu_count())
    bare = means(None, root=tmp_path / "nowhere")
    assert bare.processor is None
    assert "no RAPL counter" in bare.why_no_processor


def test_an_estimate_shares_the_design_power_among_the_cores_and_says_that_it_is_one() -> None:
    figure = fake_means(tdp_watts=100.0, cores=4).estimated(2.0)
    assert figure.value == pytest.approx(0.002 * 25)
    assert (figure.unit, figure.basis) == ("J", Basis.ESTIMATED)
    assert figure.method == "processor time × 25 W a core (100 W declared, 4 cores), no counter"


def test_without_what_it_needs_there_is_no_estimate() -> None:
    undeclared, unmeasured = fake_means().estimated(2.0), fake_means(tdp_watts=100.0).estimated(None)
    for figure, why in ((undeclared, "target.tdp_watts, for an estimate, is not set"), (unmeasured, "processor time")):
        assert (figure.value, figure.basis) == (None, Basis.NOT_MEASURED)
        assert why in figure.method
        assert figure.method.startswith("the fake processor has no counter")


STAND_IN = """
class NVMLError(Exception):
    pass


def nvmlInit():
    pass


def nvmlShutdown():
    print("shut down")


def nvmlDeviceGetHandleByIndex(number):
    return f"number {number}"


def nvmlDeviceGetHandleByUUID(name):
    return f"UUID {name}"


def nvmlDeviceGetTotalEnergyConsumption(device):
    print(device)
    if "old" in device:
        raise NVMLError("Not Supported")
    return 1500
"""


def test_of_the_gpu_that_cuda_sees_the_millijoules_are_read(tmp_path: Path) -> None:
    """By a stand-in for NVIDIA's library: none of its counters was read by those who develop this."""
    (tmp_path / "pynvml.py").write_text(STAND_IN)
    code = """
from fdpipe.energy import Nvml
for visible in ("", "2,0", "GPU-1f", "GPU-old"):
    print(repr(Nvml(visible=visible).absent()))
print(Nvml().read()["gpu"].joules)
"""
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "number 0", "shut down", "''",
        "number 2", "shut down", "''",
        "UUID GPU-1f", "shut down", "''",
        "UUID GPU-old", "shut down", '"the GPU\'s energy counter cannot be read (NVML: Not Supported)"',
        "number 0", "shut down", "1.5",
    ]  # fmt: skip
