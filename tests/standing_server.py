"""A real Prefect server on loopback, one for all tests of a process, with its state in a temporary folder."""

import atexit
import functools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx


@functools.cache
def standing_server() -> str:
    """The address of its API."""
    folder = Path(tempfile.mkdtemp(prefix="prefect-server-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "fdpipe.lifeline", str(os.getpid()), "prefect", *_arguments(port)],
            env=environment(folder) | {"PREFECT_SERVER_UI_ENABLED": "false"},
            stdout=log,
            stderr=log,
        )
    atexit.register(_stop, process, folder)
    deadline = time.monotonic() + 180
    while not _answers(url):
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline, "the Prefect server does not start"
        time.sleep(0.2)
    return url


def environment(folder: Path) -> dict[str, str]:
    """For processes that use it: nothing of the user's own Prefect."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return inherited | {"PREFECT_HOME": str(folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "true"}


@contextmanager
def connected(folder: Path) -> Iterator[str]:
    """Flows of this process use the server, and keep what they write in the folder."""
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_HOME,
        PREFECT_LOCAL_STORAGE_PATH,
        temporary_settings,
    )

    settings = {
        PREFECT_API_URL: standing_server(),
        PREFECT_HOME: folder,
        PREFECT_LOCAL_STORAGE_PATH: folder / "storage",
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
    }
    with temporary_settings(settings):
        yield standing_server()


def _arguments(port: int) -> list[str]:
    return ["server", "start", "--host", "127.0.0.1", "--port", str(port), "--log-level", "WARNING"]


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _stop(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    shutil.rmtree(folder, ignore_errors=True)
