"""A Bento as local processes: started, waited for, stopped with nothing left behind; and who holds which port.

`bentoml serve` is a master that holds the socket and workers that answer. A dead worker is followed by another at once
(`fdpipe.serving.respawn`); where none follows, that is seen here. A dead master takes its workers along, and all of them die
with the process that started them.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from fdpipe.access import EVERYONE, Access
from fdpipe.artifacts import PORTS
from fdpipe.errors import DeploymentError

SERVICE = "FDPIPE_SERVICE"
HOME = "FDPIPE_HOME"
ADDRESS = ("FDPIPE_SERVICE_HOST", "FDPIPE_SERVICE_PORT")

_LOOK_EVERY_S = 0.1
_LOOK_FOR_S = 0.5
_SUCCEEDS_S = 2.0
_WORKER = "_bentoml_impl.worker"


class PortTaken(DeploymentError):
    """Somebody took one of the ports between the look and the start."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What to start. `service` marks the processes, which is how `leftovers` finds them; `scratch` is theirs to write in,
    `log` gets their output, and `access` says who may ask."""

    service: str
    bento: Path
    host: str
    port: int
    home: Path
    scratch: Path
    log: Path
    access: Access = EVERYONE


@dataclass
class Bento:
    """A started Bento. It dies with the thread that started it, so keep that alive."""

    launch: Launch
    master: subprocess.Popen[bytes]
    workers: list[psutil.Process] = field(default_factory=list)

    def wait_ready(self, seconds: float, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Return when it answers on all its ports; `DeploymentError` after an early end, or when the time is over."""
        deadline = time.monotonic() + seconds
        while not self._answers():
            if not self.is_alive():
                raise self._failure("ended while it started")
            if time.monotonic() > deadline or cancelled():
                raise self._failure("was cancelled" if cancelled() else f"was not ready after {seconds:g} s")
            time.sleep(_LOOK_EVERY_S)

    def is_alive(self) -> bool:
        """Whether the master and, once it has started one, a worker live; the last one's successor is waited for."""
        until = time.monotonic() + _SUCCEEDS_S
        while self.master.poll() is None:
            if any(_lives(worker) for worker in self.workers):
                return True
            fresh, known = _workers(self.master.pid), self.workers
            self.workers = fresh or known
            if fresh or not known:
                return True
            if time.monotonic() > until:
                return False
            time.sleep(_LOOK_EVERY_S)
        return False

    def stop(self, drain_s: float) -> None:
        """Let the requests under way end, for `drain_s` at most, then kill; `DeploymentError` if something survives."""
        family = {*_children(self.master.pid), *leftovers(self.launch.home, self.launch.service)}
        self.master.terminate()
        _, alive = psutil.wait_procs(family, timeout=drain_s)
        kill([*alive, *leftovers(self.launch.home, self.launch.service)])
        self.master.kill()
        self.master.wait()

    def _answers(self) -> bool:
        """Both ports of HTTP answer, and it is these very processes that listen on them and on that of gRPC."""
        host, access = self.launch.host, self.launch.access
        paths = {self.launch.port: "/readyz", self.launch.port + 1: "/v2/health/ready"}
        if not all(is_ready(host, port, path, _LOOK_FOR_S, access) for port, path in paths.items()):
            return False
        own = {self.master.pid, *(child.pid for child in _children(self.master.pid))}
        return all(_listeners(port) & own for port in range(self.launch.port, self.launch.port + PORTS))

    def _failure(self, what: str) -> DeploymentError:
        """In one line, with the last words in the log: an exception's or an exit's, which do not begin with a date."""
        lines = tail(self.launch.log, 40)
        words = [line for line in lines if not line[:4].isdigit()] or lines or ["it said nothing"]
        kind = PortTaken if any("address already in use" in line.lower() for line in lines) else DeploymentError
        return kind(f"{self.launch.service} {what}: {words[-1].strip()} (all of it: {self.launch.log})")


def start(launch: Launch) -> Bento:
    """Start it, in a session of its own; it is not ready yet.

    The lifeline runs as a file, so that the Bento, which has its own fdpipe, finds none imported.
    """
    for folder in (launch.scratch / "tmp", launch.log.parent):
        folder.mkdir(parents=True, exist_ok=True)
    lifeline_py = str(Path(__file__).with_name("lifeline.py"))
    bentoml = ["bentoml", "serve", str(launch.bento), "--host", launch.host, "--port", str(launch.port)]
    bentoml += launch.access.arguments()
    with launch.log.open("ab") as log:
        master = subprocess.Popen(
            [sys.executable, "-P", lifeline_py, str(os.getpid()), *bentoml],
            env=_environment(launch),
            cwd=launch.scratch,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return Bento(launch, master)


def _environment(launch: Launch) -> dict[str, str]:
    """The starter's own, with the marks. The Bento's folder may be a store's entry: no bytecode is written into it.

    BENTOML_HOME is the service's own: a starting Bento empties the metrics folder below it.
    """
    return os.environ | {
        SERVICE: launch.service,
        HOME: str(launch.home),
        ADDRESS[0]: launch.host,
        ADDRESS[1]: str(launch.port),
        "BENTOML_HOME": str(launch.scratch / "bentoml"),
        "TMPDIR": str(launch.scratch / "tmp"),
        "BENTOML_DO_NOT_TRACK": "true",
        "DO_NOT_TRACK": "true",
        "ORT_DISABLE_TELEMETRY": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        **launch.access.environment(),
    }


def url(host: str, port: int, scheme: str = "http") -> str:
    """Where a client on this machine reaches a service that listens on `host`."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"{scheme}://[{reachable}]:{port}" if ":" in reachable else f"{scheme}://{reachable}:{port}"


def is_ready(host: str, port: int, path: str = "/readyz", timeout_s: float = 5.0, access: Access = EVERYONE) -> bool:
    """Whether it answers its ready path with 200. Where callers need certificates nobody can ask that here: it is ready when
    it shows its own, which it does once it has its model."""
    try:
        with closing(_connection(urlsplit(url(host, port)).netloc, timeout_s, access)) as connection:
            if access.client_ca:
                connection.connect()
                return True
            connection.request("GET", path)
            return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False


def _connection(netloc: str, timeout_s: float, access: Access) -> HTTPConnection:
    if (context := access.own_context()) is None:
        return HTTPConnection(netloc, timeout=timeout_s)
    return HTTPSConnection(netloc, timeout=timeout_s, context=context)


def tail(log: Path, lines: int) -> list[str]:
    """The log's last lines that are not blank."""
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-lines:]


def leftovers(home: Path, service: str) -> list[psutil.Process]:
    """The living processes that carry the marks of this service of this state folder."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except (psutil.Error, OSError):
            continue
        if environment.get(SERVICE) == service and environment.get(HOME) == str(home) and _lives(process):
            found.append(process)
    return found


def kill(processes: Collection[psutil.Process]) -> None:
    """Kill them; `DeploymentError` if one survives that."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    _, alive = psutil.wait_procs(processes, timeout=5)
    if survivors := [process.pid for process in alive if _lives(process)]:
        raise DeploymentError(f"processes {survivors} do not end: look at them with `ps`")


def free_port(host: str, first: int, reserved: Collection[int] = ()) -> int:
    """The first port that is free together with the two after it; `reserved` ones count as taken.

    It looks at every third port, so that two services that start at once never meet half-way.
    """
    for port in range(first, 65536 - PORTS, PORTS):
        ports = range(port, port + PORTS)
        if not set(ports) & set(reserved) and all(_is_free(host, one) for one in ports):
            return port
    raise DeploymentError(f"no {PORTS} free ports in a row from {first} on {host}")


def require_free(host: str, port: int, own: Collection[int] = ()) -> None:
    """`DeploymentError` that names who holds one of the service's three ports, unless they are among its `own` processes."""
    for one in range(port, port + PORTS):
        owners = _listeners(one)
        if not _is_free(host, one) and not (owners and owners <= set(own)):
            names = " and ".join(_describe(pid) for pid in owners) or "a process of another user"
            raise DeploymentError(f"port {one} belongs to {names}: stop that, or set service.port to another one")


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _listeners(port: int) -> set[int]:
    """Who listens there, as far as this user may see."""
    found = psutil.net_connections(kind="tcp")
    return {
        item.pid for item in found if item.pid and item.status == psutil.CONN_LISTEN and item.laddr and item.laddr.port == port
    }


def _describe(pid: int) -> str:
    try:
        return f"process {psutil.Process(pid).name()} ({pid})"
    except psutil.Error:
        return f"process {pid}"


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _workers(master: int) -> list[psutil.Process]:
    found = []
    for child in _children(master):
        with suppress(psutil.Error):
            if any(_WORKER in argument for argument in child.cmdline()) and _lives(child):
                found.append(child)
    return found


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
