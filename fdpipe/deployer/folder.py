"""One service's folder below the state folder, through which its supervisor is governed from any process.

`settings.json` says what to run (written by the deployer), `state.json` how it goes (written by the supervisor, which holds
`lock` while it lives), `service.log` what was said; `releases/` has the Bentos themselves: a service does not need the store.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from fdpipe import bento
from fdpipe.access import EVERYONE, Access
from fdpipe.errors import DeploymentError
from fdpipe.store import locks

SUPERVISOR_LOCK = "lock"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the supervisor runs; `bento` is a folder's name below `releases/`."""

    service: str
    release: str
    bento: str
    host: str
    port: int
    ready_s: float
    drain_s: float
    access: Access = EVERYONE


@dataclass(frozen=True, kw_only=True)
class State:
    """How the service goes. `pid` and `born` name the supervisor, `since` is when it came into this state, all times are
    seconds since the epoch; `state` is starting, running, waiting (for a restart) or stopped."""

    pid: int
    born: float
    release: str
    state: str
    since: float
    restarts: int
    reason: str = ""


@dataclass(frozen=True)
class Folder:
    """One service's folder below the state folder."""

    home: Path
    name: str

    @property
    def path(self) -> Path:
        """The folder."""
        return self.home / "services" / self.name

    @property
    def log(self) -> Path:
        """What the service and its supervisor say."""
        return self.path / "service.log"

    @property
    def releases(self) -> Path:
        """The copied Bentos."""
        return self.path / "releases"

    @property
    def settings_file(self) -> Path:
        """Gone when the service is to end."""
        return self.path / "settings.json"

    def settings(self) -> Settings | None:
        """What is to run."""
        data = _read(self.settings_file)
        return msgspec.json.decode(data, type=Settings) if data else None

    def save_settings(self, settings: Settings) -> None:
        """Replace it, atomically."""
        _write(self.settings_file, msgspec.json.encode(settings))

    def state(self) -> State | None:
        """How it goes, as the living supervisor says; None where none lives."""
        data = _read(self.path / "state.json")
        state = msgspec.json.decode(data, type=State) if data else None
        return state if state is not None and state.state != "stopped" and _lives(state) else None

    def save_state(self, state: State) -> None:
        """Replace it, atomically."""
        _write(self.path / "state.json", msgspec.json.encode(state))

    def settings_of(self, deployment: int) -> Settings:
        """The settings of a deployment, to go back to it."""
        return msgspec.json.decode(self._kept(deployment).read_bytes(), type=Settings)

    def keep_settings(self, deployment: int, settings: Settings) -> None:
        """Write down what `settings_of` is asked for later."""
        _write(self._kept(deployment), msgspec.json.encode(settings))

    def _kept(self, deployment: int) -> Path:
        return self.path / f"deployment-{deployment}.json"

    def launch(self) -> None:
        """Start a supervisor that outlives this process and its terminal; it has its lock when this returns."""
        environment = {name: value for name, value in os.environ.items() if name != bento.SERVICE}
        command = [sys.executable, "-m", "fdpipe.deployer.supervisor", str(self.home), self.name]
        with self.log.open("ab") as output:
            done = subprocess.run(
                command, cwd=self.path, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
            )
        if done.returncode:
            raise DeploymentError(f"the supervisor of {self.name} does not start: {self.log} says why")

    def wait_running(self, seconds: float) -> State:
        """The supervisor's state when the service is ready; `DeploymentError` when it ended, or after the time."""
        deadline = time.monotonic() + seconds
        while (state := self.state()) is None or state.state != "running":
            if state is not None and state.state == "waiting":
                raise DeploymentError(state.reason)
            if state is None and not self.is_supervised():
                raise DeploymentError(f"the supervisor of {self.name} has ended: {self.log} says why")
            if time.monotonic() > deadline:
                raise DeploymentError(f"{self.name} was not ready after {seconds:g} s: {self.log} says why")
            time.sleep(0.05)
        return state

    def halt(self) -> None:
        """Stop the supervisor and its Bento; nothing of the service is left when this returns."""
        settings = self.settings()
        deadline = time.monotonic() + (settings.drain_s if settings else 0) + 10
        told = None
        while self.is_supervised():
            state = self.state()
            if state is not None and state.pid != told:
                with suppress(ProcessLookupError):
                    os.kill(state.pid, signal.SIGTERM)
                told = state.pid
            elif state is not None and time.monotonic() > deadline:
                bento.kill([psutil.Process(state.pid)])
            elif time.monotonic() > deadline:
                raise DeploymentError(
                    f"something holds {self.path / SUPERVISOR_LOCK} and does not say what it is: look with `fuser`"
                )
            time.sleep(0.05)
        bento.kill(bento.leftovers(self.home, self.name))

    def is_supervised(self) -> bool:
        """Whether a supervisor lives, even if it has not said so yet."""
        lock = self.path / SUPERVISOR_LOCK
        return lock.exists() and locks.is_held(lock)


def _lives(state: State) -> bool:
    try:
        process = psutil.Process(state.pid)
        return process.create_time() == state.born and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
