"""The environments: the default one, and one for each family of libraries that cannot share it."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fdpipe.home import home
from fdpipe.plan import Isolation

ROOT = Path(__file__).parent.parent.parent

COMMON = ("mlflow>=3.17.2,<3.19", "numpy>=2.4,<2.5", "scikit-learn>=1.8,<1.10", "pandas>=2.3,<4")
"""What the making of samples needs, whatever the family."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """`modules` make its samples; `requirements` are those of its environment, none where it is the default one."""

    name: str
    modules: tuple[str, ...]
    requirements: tuple[str, ...] = ()

    @property
    def isolation(self) -> Isolation:
        """Where its models are converted."""
        return Isolation.VENV if self.requirements else Isolation.PROCESS


FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family(name="default", modules=("make_default", "make_torch")),
        Family(
            name="tensorflow", modules=("make_tensorflow",), requirements=("tensorflow-cpu>=2.21,<2.22", "keras>=3.15,<4")
        ),
        Family(
            name="paddle", modules=("make_paddle",), requirements=("paddlepaddle>=3.3,<3.4", "setuptools>=60,<82")
        ),
        Family(name="jax", modules=("make_jax",), requirements=("jax>=0.10,<0.11", "flax>=0.12,<0.13")),
        Family(name="spark", modules=("make_spark",), requirements=("pyspark>=4.3,<4.4",)),
    )
}  # fmt: skip


def python_of(family: Family) -> str:
    """The family's Python, in an environment that is built where it is not there yet; `RuntimeError` where it cannot be."""
    if not family.requirements:
        return sys.executable
    lines = (*COMMON, *family.requirements)
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]
    folder = home() / "formats" / f"{family.name}-{digest}"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _install(folder, lines)
        (folder / "ready").touch()
    return str(folder / "bin" / "python")


def _install(folder: Path, lines: Sequence[str]) -> None:
    """With uv where it is there, which takes seconds, and pip otherwise."""
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.is_file() else shutil.which("uv")
    python = str(folder / "bin" / "python")
    if uv:
        _run(uv, "venv", "-q", "--python", sys.executable, str(folder))
        _run(uv, "pip", "install", "-q", "--python", python, *lines)
    else:
        _run(sys.executable, "-m", "venv", str(folder))
        _run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *lines)


def make(family: Family, module: str, folder: Path, wanted: Sequence[str]) -> list[Path]:
    """Make the module's samples, or those that are wanted, below the folder; theirs, in order. `RuntimeError` with the last
    lines where it or its environment fails."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _run(python_of(family), "-m", f"bench.formats.{module}", str(folder), *wanted)
    return [path.parent for path in sorted(folder.glob("*/sample.json"), key=lambda path: path.stat().st_mtime_ns)]


def _run(*command: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise RuntimeError(f"{' '.join(command[:4])}… exited with {done.returncode}: {' '.join(lines[-3:])[:600]}")
