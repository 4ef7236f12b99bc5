"""The Prefect server of a run that is started from this process: the user's or, where there is none, a temporary one."""

import atexit
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import prefect
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    get_current_settings,
    temporary_settings,
)

from fdpipe.errors import StageError
from fdpipe.home import home
from fdpipe.store import locks, writing

READY_S = 180.0
STOP_S = 5.0

_EPHEMERAL = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
"""What Prefect itself gives its temporary server: neither pages nor schedules."""


@contextmanager
def server() -> Iterator[None]:
    """A server for the flows of the block. Nobody watches a temporary one for a heartbeat, whose end would take 0.9 s."""
    if get_current_settings().api.url:
        yield
        return
    with writing(home()):
        url = _temporary.url()
    with temporary_settings({PREFECT_API_URL: url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


class _Temporary:
    """One server for all runs of this process. Prefect's own would outlive a killed process; this one dies with it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._address = ""

    def url(self) -> str:
        """The address of its API, when it answers."""
        if self._process is None or self._process.poll() is not None:
            atexit.register(self.stop)
            with _one_at_a_time(), socket.socket() as listener:
                listener.bind(("127.0.0.1", 0))
                self._address = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
                self._process = _start(listener.fileno())
                _wait_for(self._address, self._process)
        return self._address

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
            self._process = None


_temporary = _Temporary()


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Servers of several processes share one database, which the first of them makes."""
    handle = locks.acquire(home() / "prefect-server.lock")
    try:
        yield
    finally:
        os.close(handle)


def _start(listener: int) -> "subprocess.Popen[bytes]":
    log = _log()
    log.parent.mkdir(parents=True, exist_ok=True)
    app = ["--app-dir", str(prefect.__module_path__.parent), "--factory", "prefect.server.api.server:create_app"]
    with log.open("ab") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "fdpipe.lifeline", str(os.getpid()), "uvicorn", *app, "--fd", str(listener)],
            env=os.environ | get_current_settings().to_environment_variables(exclude_unset=True) | _EPHEMERAL,
            pass_fds=(listener,),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        )


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=READY_S, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    process.kill()
    raise StageError(f"the temporary Prefect server does not start, see {_log()}; orchestrator=none does without")


def _log() -> Path:
    return home() / "prefect-server.log"
