"""Joules: counters of the machine that can be read while a model runs, and an estimate where there is none."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from fdpipe import extras
from fdpipe.artifacts import Basis, Figure
from fdpipe.errors import MissingExtra, StageError

UNIT = "J"
POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True, kw_only=True)
class Counter:
    """Joules that one part of the machine has used since some moment; it begins anew at `range_joules`, if it ever does."""

    joules: float
    range_joules: float = float("inf")


class Meter(Protocol):
    """Something that counts joules. `covers` says of which part of the machine."""

    covers: ClassVar[str]

    def absent(self) -> str:
        """Why it cannot be read here; empty where it can."""

    def read(self) -> Mapping[str, Counter]:
        """Every counter now, by name; `StageError` where one cannot be read."""


def spent(before: Mapping[str, Counter], after: Mapping[str, Counter]) -> float:
    """Joules between two readings; a counter that ran over its range once meanwhile counts rightly. `StageError` where one
    went backwards that has no range, or where the two do not hold the same counters."""
    if set(before) != set(after):
        raise StageError("the energy counters of this machine changed while they were read")
    return sum(_between(name, before[name], after[name]) for name in sorted(before))


def _between(name: str, before: Counter, after: Counter) -> float:
    passed = after.joules - before.joules
    if passed >= 0:
        return passed
    if after.range_joules == float("inf"):
        raise StageError(f"the energy counter {name} went backwards: it was reset while it was read")
    return passed + after.range_joules


# --- the processor ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Rapl:
    """The running average power limit counters of a processor, by Linux' powercap interface (Documentation/power/powercap in
    the kernel's sources), below `root`; on most systems only root may read them.

    Each package counts once, with its memory where that is a counter of its own. Left out are a package's cores and graphics,
    which it holds already, and `psys`, which holds the packages.
    """

    covers: ClassVar[str] = "the processor packages and their memory"

    root: Path = POWERCAP

    def absent(self) -> str:
        """The kernel offers no such counter, or this user may not read it."""
        zones = self._zones()
        if not zones:
            return f"{self.root} has no RAPL counter of a processor package"
        try:
            self.read()
        except StageError as error:
            return str(error)
        return ""

    def read(self) -> Mapping[str, Counter]:
        """Every package and every memory."""
        found: dict[str, Counter] = {}
        for zone in self._zones():
            try:
                joules, limit = (int((zone / name).read_text()) / 1e6 for name in ("energy_uj", "max_energy_range_uj"))
            except OSError as error:
                raise StageError(f"the RAPL counter {zone / 'energy_uj'} cannot be read ({error.strerror})") from error
            except ValueError as error:
                raise StageError(f"the RAPL counter {zone / 'energy_uj'} holds no number") from error
            found[zone.name] = Counter(joules=joules, range_joules=limit)
        return found

    def _zones(self) -> list[Path]:
        """Their folders: `intel-rapl:0` is a package, `intel-rapl:0:1` a part of it (`intel-rapl-mmio` says the same again)."""
        names = {zone: _name(zone) for zone in sorted(self.root.glob("intel-rapl:*"))}
        packages = {zone.name for zone, name in names.items() if name.startswith("package")}
        return [
            zone
            for zone, name in names.items()
            if zone.name in packages or (name == "dram" and zone.name.rpartition(":")[0] in packages)
        ]


def _name(zone: Path) -> str:
    try:
        return (zone / "name").read_text().strip()
    except OSError:
        return ""


# --- the GPU ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Nvml:
    """The total energy counter of an NVIDIA GPU (`nvmlDeviceGetTotalEnergyConsumption`, from Volta on): the first that CUDA
    may see, by the number or the UUID in `visible`, which is CUDA_VISIBLE_DEVICES."""

    covers: ClassVar[str] = "the GPU"

    visible: str = ""

    def absent(self) -> str:
        """The extra is not installed, there is no driver, or the GPU has no such counter."""
        try:
            self.read()
        except (MissingExtra, StageError) as error:
            return str(error)
        return ""

    def read(self) -> Mapping[str, Counter]:
        """Its one counter, which NVML keeps in millijoules since the driver was loaded."""
        nvml = extras.require("pynvml", extra="gpu")
        first = self.visible.partition(",")[0].strip()
        try:
            nvml.nvmlInit()
            try:
                by_number = not first or first.isdigit()
                device = (
                    nvml.nvmlDeviceGetHandleByIndex(int(first or 0)) if by_number else nvml.nvmlDeviceGetHandleByUUID(first)
                )
                return {"gpu": Counter(joules=nvml.nvmlDeviceGetTotalEnergyConsumption(device) / 1e3)}
            finally:
                nvml.nvmlShutdown()
        except nvml.NVMLError as error:
            raise StageError(f"the GPU's energy counter cannot be read (NVML: {error})") from error


# --- what there is ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Means:
    """By what energy can be told on this machine: the meters that can be read, of the processor and of the GPU; why the others
    cannot; and for an estimate the processor's declared thermal design power, shared by all `cores` of the machine."""

    processor: Meter | None
    gpu: Meter | None
    why_no_processor: str
    why_no_gpu: str
    tdp_watts: float | None
    cores: int

    def estimated(self, processor_ms: float | None) -> Figure:
        """Energy of so many milliseconds of processor time: each core takes its share of the design power while it works, which
        nobody has measured. Not measured without both figures."""
        if self.tdp_watts is None:
            return not_measured(f"{self.why_no_processor}; target.tdp_watts, for an estimate, is not set")
        if processor_ms is None:
            return not_measured(f"{self.why_no_processor}; processor time, for an estimate, was not measured")
        watts = self.tdp_watts / self.cores
        method = f"processor time × {watts:.3g} W a core ({self.tdp_watts:g} W declared, {self.cores} cores), no counter"
        return Figure(value=processor_ms / 1e3 * watts, unit=UNIT, basis=Basis.ESTIMATED, method=method)


def means(tdp_watts: float | None, root: Path = POWERCAP) -> Means:
    """What there is on this machine."""
    rapl, nvml = Rapl(root=root), Nvml(visible=os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    no_processor, no_gpu = rapl.absent(), nvml.absent()
    return Means(
        processor=None if no_processor else rapl,
        gpu=None if no_gpu else nvml,
        why_no_processor=no_processor,
        why_no_gpu=no_gpu,
        tdp_watts=tdp_watts,
        cores=os.cpu_count() or 1,
    )


def not_measured(why: str) -> Figure:
    """No figure, and why."""
    return Figure(value=None, unit=UNIT, basis=Basis.NOT_MEASURED, method=why)
