"""docs/serving-measured.md: what the service was found to do beside others, and when and where."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from bench.gate.page import Row, tables
from bench.serve.mlserver import mlserver_version
from fdpipe import __version__
from fdpipe.machine import describe_machine

PAGE = Path(__file__).parent.parent.parent / "docs" / "serving-measured.md"
PACKAGES = ("bentoml", "onnxruntime", "uvicorn", "httptools", "uvloop", "grpcio", "fastapi", "pydantic")


def page(parts: Mapping[str, Sequence[Row]], told: Mapping[str, str]) -> str:
    """The whole page: what was missed stands first."""
    every = [row for rows in parts.values() for row in rows if row.holds is not None]
    missed = [row for row in every if not row.holds]
    lines = [*_head(), "", f"{len(every) - len(missed)} of {len(every)} rows were reached."]
    lines += [f"- Missed: {row.what}: {row.found}, wanted {row.wanted}." for row in missed]
    return "\n".join([*lines, "", tables(parts, told)])


def _head() -> Sequence[str]:
    machine = describe_machine()
    where = f"{machine.processor}, {machine.cores} cores, {machine.memory_gib} GiB, {machine.system}"
    busy = os.getloadavg()[2]
    versions = [f"{name} {version(name)}" for name in PACKAGES]
    peers = [*versions, f"mlserver {mlserver_version() or 'not installed'}", *_programs()]
    return (
        "# The service, measured",
        "",
        f"`make bench-serve` wrote this page on {time.strftime('%Y-%m-%d')}: fdpipe {__version__}, on {where}, with "
        f"{', '.join(peers)}. The machine's load average over the 15 minutes before was {busy:.1f}; the bench itself makes 2.",
    )


def _programs() -> Sequence[str]:
    """The load's, as they call themselves."""
    asked = (["wrk", "-v"], ["h2load", "--version"])
    said = [subprocess.run(words, capture_output=True, text=True, check=False).stdout for words in asked]
    return [text.split(" [")[0].split(" Copyright")[0].strip().splitlines()[0] for text in said if text.strip()]
