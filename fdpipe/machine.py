"""The machine a result depends on."""

import functools
import hashlib
import os
import platform
from pathlib import Path

import psutil

from fdpipe.artifacts import Machine

INSTRUCTION_SETS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
)


@functools.cache
def describe_machine() -> Machine:
    """This machine: processor, usable cores, memory, and the instruction sets that matter to inference."""
    info = _cpuinfo()
    processor = info.get("model name") or platform.processor() or platform.machine()
    flags = set((info.get("flags") or info.get("Features") or "").split())
    found = tuple(name for name in INSTRUCTION_SETS if name in flags)
    cores = len(os.sched_getaffinity(0))
    memory = round(psutil.virtual_memory().total / 2**30, 1)
    system = f"{platform.system()} {platform.machine()}"
    identity = "|".join((processor, str(cores), str(round(memory)), system, *found, *_gpus()))
    return Machine(
        processor=processor,
        cores=cores,
        memory_gib=memory,
        system=system,
        instruction_sets=found,
        fingerprint=hashlib.sha256(identity.encode()).hexdigest()[:16],
    )


def _gpus() -> list[str]:
    """The models of the NVIDIA GPUs, as their driver tells them: an engine that was built for one is none for another."""
    told = (path.read_text() for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")))
    return [line.partition(":")[2].strip() for text in told for line in text.splitlines() if line.startswith("Model:")]


def _cpuinfo() -> dict[str, str]:
    """The first processor's entries."""
    try:
        first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
