"""Local services, with real processes. They share a state folder, and each test first deploys what it is about."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from fdpipe import bento
from fdpipe.artifacts import Deployment, Release
from fdpipe.deployer.folder import Folder
from fdpipe.deployer.local import Local, log_path, services, start_service, stop_service
from fdpipe.deployer.service import Service, ServiceStatus
from fdpipe.errors import ConfigError, DeploymentError
from fdpipe.releases import Releases, State
from tests.contracts.deployer import DeployerContract
from tests.tiny.release import free_triple, proof_of, tiny_release

SERVICE = "tiny-cpu"
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FDPIPE_HOME", str(folder))
        yield folder
        if services(folder):
            stop_service(folder, SERVICE)
    assert bento.leftovers(folder, SERVICE) == []


@pytest.fixture(scope="module")
def port() -> int:
    return free_triple()


@pytest.fixture
def one(home: Path) -> Release:
    return tiny_release(home / "store")


@pytest.fixture
def two(home: Path) -> Release:
    return tiny_release(home / "store", factor=3.0)


@pytest.fixture
def deploy(home: Path, port: int) -> Callable[[Release], Deployment]:
    return lambda release: Local().deploy(release, proof_of(release), "127.0.0.1", port)


def score(port: int) -> float:
    reply = httpx.post(f"http://127.0.0.1:{port}/predict", json={"inputs": {"x": [[1, 2]], "word": ["a"]}})
    found: float = reply.json()["score"][0]
    return found


def status(home: Path) -> ServiceStatus:
    (found,) = services(home)
    return found


def is_free(port: int) -> bool:
    try:
        bento.require_free("127.0.0.1", port)
    except DeploymentError:
        return False
    return True


def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def in_another_process(home: Path, release: str, port: int) -> subprocess.Popen[bytes]:
    """Deploy from a process of its own, in a session of its own."""
    program = (
        "from pathlib import Path; from fdpipe.deployer.local import Local\n"
        "from tests.tiny.release import proof_of, tiny_release\n"
        f"release = tiny_release(Path({str(home / 'store')!r}), {release})\n"
        f"Local().deploy(release, proof_of(release), '127.0.0.1', {port})"
    )
    return subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, start_new_session=True)


class TestLocal(DeployerContract):
    deployer = Local()

    @pytest.fixture
    def port(self, port: int) -> int:
        return port


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="ready_timeout_s must be above 0"):
        Local(ready_timeout_s=0.0)
    with pytest.raises(ValueError, match="drain_timeout_s must not be negative"):
        Local(drain_timeout_s=-1.0)


@pytest.mark.parametrize("victim", ["worker", "master"])
def test_it_comes_back_after_a_crash(
    home: Path, port: int, deploy: Callable[[Release], Deployment], one: Release, victim: str
) -> None:
    deploy(one)
    before = status(home)
    assert before.pid is not None
    family = bento.leftovers(home, SERVICE)
    assert len(family) == 2
    child = next(process for process in family if (process.ppid() == before.pid) == (victim == "master"))
    child.kill()
    eventually(lambda: status(home).restarts == before.restarts + 1 and status(home).state == "running")
    assert score(port) == 6.0
    assert status(home).pid == before.pid
    assert not any(process.is_running() for process in family)


def test_a_killed_supervisor_leaves_nothing(
    home: Path, port: int, deploy: Callable[[Release], Deployment], one: Release
) -> None:
    deploy(one)
    pid = status(home).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    # a process whose first thread has ended is found by nobody, and holds its ports until its last thread has
    eventually(lambda: bento.leftovers(home, SERVICE) == [] and is_free(port), seconds=10)
    assert status(home).state == "down"
    assert deploy(one).changed
    assert score(port) == 6.0


def test_a_killed_deployment_is_undone(home: Path, port: int, deploy: Callable[[Release], Deployment], one: Release) -> None:
    deploy(one)
    folder = Folder(home, SERVICE)
    deployer = in_another_process(home, "factor=6.0, flaw='slow'", port)
    eventually(lambda: (state := folder.state()) is not None and state.release != one.digest)
    assert status(home).state == "starting"
    deployer.kill()
    deployer.wait()
    eventually(lambda: status(home).state == "running")
    assert status(home).release == one.digest
    assert score(port) == 6.0
    latest = Releases(home / "releases.sqlite", home / "store").history(SERVICE)[0]
    assert (latest.state, latest.reason) == (State.FAILED, "it was interrupted")


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"factor": 7.0, "flaw": "worker"}, "the tiny model cannot be loaded"),
        ({"factor": 8.0, "golden_factor": 9.0}, "answered wrongly"),
    ],
)
def test_what_does_not_come_up_leaves_the_old_one_answering(
    home: Path, port: int, deploy: Callable[[Release], Deployment], one: Release, broken: dict[str, float], reason: str
) -> None:
    deploy(one)
    with pytest.raises(DeploymentError, match=reason) as error:
        deploy(tiny_release(home / "store", **broken))  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    assert score(port) == 6.0
    assert not deploy(one).changed
    latest = Releases(home / "releases.sqlite", home / "store").history(SERVICE)[0]
    assert (latest.state, latest.release == one.digest) == (State.FAILED, False)


def test_a_foreign_listener_leaves_the_old_one_untouched(
    home: Path, deploy: Callable[[Release], Deployment], one: Release, two: Release, port: int
) -> None:
    deploy(one)
    before = status(home)
    with socket.create_server(("127.0.0.1", free_triple())) as foreign:
        taken = foreign.getsockname()[1]
        with pytest.raises(DeploymentError, match=rf"port {taken} belongs to process .* \({os.getpid()}\)"):
            Local().deploy(two, proof_of(two), "127.0.0.1", taken)
    assert status(home) == before
    assert score(port) == 6.0
    assert not deploy(one).changed


def test_the_log_is_bounded(home: Path, deploy: Callable[[Release], Deployment], one: Release) -> None:
    deploy(one)
    log = log_path(home, SERVICE)
    with log.open("ab") as stream:
        stream.write(b"x" * (11 * 2**20))
    eventually(lambda: log.stat().st_size < 2**20)
    assert log.with_suffix(".log.1").stat().st_size > 10 * 2**20


def test_unknown_services_are_named(home: Path, deploy: Callable[[Release], Deployment], one: Release) -> None:
    deploy(one)
    for call in (start_service, stop_service, log_path):
        with pytest.raises(ConfigError, match="there is no service 'nosuch': tiny-cpu"):
            call(home, "nosuch")


def test_another_release_takes_its_place(
    home: Path, port: int, deploy: Callable[[Release], Deployment], one: Release, two: Release
) -> None:
    deploy(one)
    deployment = deploy(two)
    assert deployment.changed
    assert deployment.url == f"http://127.0.0.1:{port}"
    assert score(port) == 9.0
    releases = Releases(home / "releases.sqlite", home / "store")
    assert releases.live(SERVICE) == two
    assert releases.previous(SERVICE) == one
    kept = sorted(folder.name for folder in Folder(home, SERVICE).releases.iterdir())
    assert kept == sorted([one.digest[:12], two.digest[:12]])


def test_stopped_it_needs_no_store_to_start_again(
    home: Path, port: int, deploy: Callable[[Release], Deployment], two: Release
) -> None:
    deploy(two)
    stopped = stop_service(home, SERVICE)
    assert (stopped.state, stopped.pid, stopped.url) == ("stopped", None, f"http://127.0.0.1:{port}")
    assert stop_service(home, SERVICE).state == "stopped"
    assert bento.leftovers(home, SERVICE) == []
    bento.require_free("127.0.0.1", port)
    with socket.create_server(("127.0.0.1", port)), pytest.raises(DeploymentError, match=f"port {port} belongs to"):
        start_service(home, SERVICE)
    (home / "store").rename(home / "away")
    try:
        assert start_service(home, SERVICE).state == "running"
        assert score(port) == 9.0
    finally:
        (home / "away").rename(home / "store")
    running = start_service(home, SERVICE)
    assert running == status(home)
    assert running.pid is not None


def test_the_same_release_at_once_is_started_once(deploy: Callable[[Release], Deployment], one: Release, two: Release) -> None:
    deploy(two)
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(deploy, [one, one]))
    assert sorted(deployment.changed for deployment in found) == [False, True]
    assert found[0].url == found[1].url


def test_it_outlives_the_process_that_deployed_it(home: Path, port: int) -> None:
    starter = in_another_process(home, "factor=5.0", port)
    assert starter.wait() == 0
    assert psutil.pids().count(starter.pid) == 0
    assert score(port) == 15.0
    assert status(home).state == "running"


def test_a_service_ends_when_its_state_folder_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FDPIPE_HOME", str(tmp_path / "home"))
    release = tiny_release(tmp_path / "home" / "store")
    Local().deploy(release, proof_of(release), "127.0.0.1", free_triple())
    assert bento.leftovers(tmp_path / "home", SERVICE) != []
    shutil.rmtree(tmp_path / "home")
    eventually(lambda: bento.leftovers(tmp_path / "home", SERVICE) == [])


def test_a_first_release_that_does_not_come_up_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FDPIPE_HOME", str(tmp_path))
    release = tiny_release(tmp_path / "store", flaw="import")
    with pytest.raises(DeploymentError, match=r"is not deployed: .* the tiny service cannot be imported"):
        Local().deploy(release, proof_of(release), "127.0.0.1", free_triple())
    assert bento.leftovers(tmp_path, SERVICE) == []
    assert services(tmp_path) == []


def test_ports_are_kept_and_never_shared(tmp_path: Path) -> None:
    first, second = Service(tmp_path, "first"), Service(tmp_path, "second")
    port = first.take_port("127.0.0.1", 0)
    assert port >= 3000
    assert second.take_port("127.0.0.1", 0) >= port + 3
    assert first.take_port("127.0.0.1", 0) == port
    with pytest.raises(DeploymentError, match="meet those of the service first"):
        second.take_port("127.0.0.1", port + 2)


def test_nothing_deployed_is_no_service(tmp_path: Path) -> None:
    assert services(tmp_path) == []
    Service(tmp_path, "first").take_port("127.0.0.1", 0)
    assert services(tmp_path) == []
    with pytest.raises(ConfigError, match="there is no service 'first': none is deployed"):
        stop_service(tmp_path, "first")
