"""`fdpipe doctor`: what is installed, what is missing and would give what, where state goes, which ports are free."""

import importlib.metadata
import os
import platform
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fdpipe import __version__, isolation
from fdpipe.home import home
from fdpipe.tracking import discreet

EXTRAS = {"gpu": "target=gpu: the CUDA execution provider of ONNX Runtime"}
"""What each extra gives."""

PORTS = {3000: "the first service", 3001: "its Open Inference Protocol", 4200: "Prefect server", 5000: "MLflow server"}

LITTLE_GIB = 2.0


@dataclass(frozen=True, kw_only=True)
class Remark:
    """One line: `missing` is a fault, `note` something to know."""

    subject: str
    level: Literal["ok", "note", "missing"]
    text: str


def examine() -> list[Remark]:
    """Everything there is to say of this installation and machine; nothing is changed."""
    return [*_versions(), *_libraries(), *_extras(), _isolation(), *_places(), *_servers(), *_ports()]


def _versions() -> Iterator[Remark]:
    machine = f"{platform.system()} {platform.machine()}, {len(os.sched_getaffinity(0))} cores"
    yield Remark(subject="fdpipe", level="ok", text=f"{__version__}, Python {platform.python_version()}, {machine}")
    if platform.system() != "Linux":
        yield Remark(subject="system", level="missing", text=f"{platform.system()} is not supported: fdpipe needs Linux")


def _libraries() -> Iterator[Remark]:
    for name, extra in _requirements():
        if extra is None:
            found = _version(name)
            yield Remark(subject=name, level="ok" if found else "missing", text=found or f"not installed: pip install {name}")


def _extras() -> Iterator[Remark]:
    for name, extra in _requirements():
        if extra in EXTRAS:
            found = _version(name)
            text = f"{name} {found}" if found else f"pip install 'fdpipe[{extra}]' would give {EXTRAS[extra]}"
            yield Remark(subject=f"[{extra}]", level="ok" if found else "note", text=text)


def _isolation() -> Remark:
    """Whether models that hold code can be kept from doing harm."""
    if lacking := isolation.lacking():
        text = f"not isolated: {', '.join(lacking)}; models that hold code, as a pickle, are not converted here"
        return Remark(subject="isolation", level="note", text=text)
    return Remark(subject="isolation", level="ok", text="originals run without network, and write to their own folder only")


def _places() -> Iterator[Remark]:
    folder = home()
    standing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        tempfile.TemporaryFile(dir=standing).close()
    except OSError as error:
        yield Remark(subject="state", level="missing", text=f"{folder} cannot be written ({error.strerror}): set FDPIPE_HOME")
        return
    free_gib = shutil.disk_usage(standing).free / 2**30
    text = f"{folder}{'' if folder.exists() else ' (not made yet)'}, {free_gib:.1f} GiB free"
    yield Remark(subject="state", level="note" if free_gib < LITTLE_GIB else "ok", text=text)


def _servers() -> Iterator[Remark]:
    registry = os.environ.get("MLFLOW_TRACKING_URI") or "embedded, in the state folder"
    yield Remark(subject="registry", level="ok", text=f"MLflow: {discreet(registry)}")
    yield Remark(subject="orchestrator", level="ok", text=f"Prefect: {_prefect()}")


def _prefect() -> str:
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    if profile := os.environ.get("PREFECT_PROFILE"):
        return f"the profile {profile}"
    if Path("~/.prefect/profiles.toml").expanduser().exists():
        return "your active profile in ~/.prefect"
    return "a temporary server for each run (set PREFECT_API_URL to use yours)"


def _ports() -> Iterator[Remark]:
    for port, purpose in PORTS.items():
        with socket.socket() as probe:
            taken = probe.connect_ex(("127.0.0.1", port)) == 0
        yield Remark(subject=f"port {port}", level="ok", text=f"{purpose}: {'in use' if taken else 'free'}")


def _requirements() -> list[tuple[str, str | None]]:
    """The distributions that fdpipe declares, each with the extra that wants it."""
    found = []
    for line in importlib.metadata.requires("fdpipe") or []:
        name = re.split(r"[\s<>=!~;\[]", line, maxsplit=1)[0]
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        found.append((name, extra.group(1) if extra else None))
    return found


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
