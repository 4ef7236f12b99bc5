"""A Bento's processes and ports, with a real `bentoml serve`."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from fdpipe import bento
from fdpipe.errors import DeploymentError
from tests.tiny.release import free_triple, tiny_release

READY_S = 60.0


def launch(folder: Path, port: int, flaw: str = "") -> bento.Launch:
    return bento.Launch(
        service="tiny-cpu",
        bento=tiny_release(folder / "store", flaw=flaw).path,
        host="127.0.0.1",
        port=port,
        home=folder,
        scratch=folder / "scratch",
        log=folder / "service.log",
    )


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        found.listen()
        yield found


def test_a_service_answers_and_leaves_nothing_behind(tmp_path: Path) -> None:
    what = launch(tmp_path, free_triple())
    before = sorted(what.bento.iterdir())
    started = bento.start(what)
    try:
        started.wait_ready(READY_S)
        reply = httpx.post(bento.url("127.0.0.1", what.port) + "/predict", json={"inputs": {"x": [[1, 2]], "word": ["a"]}})
        family = bento.leftovers(tmp_path, "tiny-cpu")
    finally:
        started.stop(drain_s=10)
    assert reply.json() == {"score": [6.0], "label": ["a+"]}
    assert len(family) == 2
    assert not any(process.is_running() for process in family)
    assert bento.leftovers(tmp_path, "tiny-cpu") == []
    bento.require_free("127.0.0.1", what.port)
    assert sorted(what.bento.iterdir()) == before


@pytest.mark.parametrize(
    ("flaw", "text"), [("import", "the tiny service cannot be imported"), ("worker", "the tiny model cannot be loaded")]
)
def test_a_service_that_cannot_start_says_why_at_once(tmp_path: Path, flaw: str, text: str) -> None:
    started = bento.start(launch(tmp_path, free_triple(), flaw))
    begun = time.monotonic()
    try:
        with pytest.raises(DeploymentError, match=text):
            started.wait_ready(READY_S)
    finally:
        started.stop(drain_s=1)
    assert time.monotonic() - begun < READY_S / 2
    assert bento.leftovers(tmp_path, "tiny-cpu") == []


def test_a_service_whose_port_was_taken_is_told_apart(tmp_path: Path) -> None:
    port = free_triple()
    with socket.create_server(("127.0.0.1", port)):
        started = bento.start(launch(tmp_path, port))
        try:
            with pytest.raises(bento.PortTaken):
                started.wait_ready(READY_S)
        finally:
            started.stop(drain_s=1)


def test_it_dies_with_its_starter(tmp_path: Path) -> None:
    what = launch(tmp_path, free_triple())
    program = (
        "import sys, time; from pathlib import Path; from fdpipe import bento\n"
        f"started = bento.start(bento.Launch(service='tiny-cpu', bento=Path({str(what.bento)!r}), host='127.0.0.1',"
        f" port={what.port}, home=Path({str(tmp_path)!r}), scratch=Path({str(what.scratch)!r}), log=Path({str(what.log)!r})))\n"
        "started.wait_ready(60); print('ready', flush=True); time.sleep(600)"
    )
    starter = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent)
    assert starter.stdout is not None
    assert starter.stdout.readline() == b"ready\n"
    family = bento.leftovers(tmp_path, "tiny-cpu")
    starter.kill()
    starter.wait()
    starter.stdout.close()
    gone, alive = psutil.wait_procs(family, timeout=10)
    assert (len(gone), alive) == (2, [])


def test_leftovers_are_found_by_their_marks(tmp_path: Path) -> None:
    marks = {bento.SERVICE: "tiny-cpu", bento.HOME: str(tmp_path)}
    program = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
    with subprocess.Popen(program, env=os.environ | marks, stdout=subprocess.PIPE) as orphan:
        assert orphan.stdout is not None
        orphan.stdout.readline()
        assert [process.pid for process in bento.leftovers(tmp_path, "tiny-cpu")] == [orphan.pid]
        assert bento.leftovers(tmp_path / "other", "tiny-cpu") == []
        assert bento.leftovers(tmp_path, "other-cpu") == []
        bento.kill(bento.leftovers(tmp_path, "tiny-cpu"))
        assert bento.leftovers(tmp_path, "tiny-cpu") == []


def test_a_taken_port_names_its_owner(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    name = psutil.Process().name()
    for first in (port, port - 1, port - 2):
        with pytest.raises(DeploymentError, match=rf"port {port} belongs to process {name} \({os.getpid()}\)"):
            bento.require_free("127.0.0.1", first)
    bento.require_free("127.0.0.1", port, own=[os.getpid()])


def test_the_first_free_ports_are_three_in_a_row(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    for first in (port, port - 1, port - 2):
        assert bento.free_port("127.0.0.1", first) > port
    found = bento.free_port("127.0.0.1", 3900)
    assert bento.free_port("127.0.0.1", 3900, reserved=[found + 2]) >= found + 3
    with pytest.raises(DeploymentError, match="no 3 free ports"):
        bento.free_port("127.0.0.1", 65534)


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("box.local", "http://box.local:80"),
    ],
)
def test_urls_are_reachable(host: str, wanted: str) -> None:
    assert bento.url(host, 80) == wanted
