"""Releases, built and served once for all tests of the service."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from fdpipe.artifacts import Release
from fdpipe.serving.figures import EVERY_S
from fdpipe.store import LocalStore
from tests.serving import raw, tiny
from tests.tiny.release import free_triple

FORBIDDEN = ("mlflow", "prefect", "hydra", "omegaconf", "pandas", "sklearn", "onnx", "skl2onnx")
OURS = ("cli", "config", "orchestrate", "pipeline", "plan", "store", "stages", "source", "deployer")

_BLOCKER = f"""
import importlib.machinery, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {FORBIDDEN} or name in {tuple(f"fdpipe.{name}" for name in OURS)}:
            raise ImportError(name + " must not be imported where a service runs")
        if name == "fdpipe" and "/bento/src/" not in importlib.machinery.PathFinder.find_spec(name).origin:
            raise ImportError("fdpipe must come from the Bento")

sys.meta_path.insert(0, Blocker())
"""


@dataclass(frozen=True)
class Served:
    """A running Bento: `api` is BentoML's address, `oip` the Open Inference Protocol's own."""

    release: Release
    pieces: tiny.Pieces
    port: int
    log: Path
    master: int

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def oip(self) -> str:
        return f"http://127.0.0.1:{self.port + 1}"

    def metrics(self) -> dict[str, float]:
        """Our figures, by the sample as it is written, once the monitors have been told of every request."""
        time.sleep(2 * EVERY_S)
        lines = httpx.get(f"{self.api}/metrics").text.splitlines()
        ours = (line.rpartition(" ") for line in lines if line.startswith("fdpipe_"))
        return {name: float(figure) for name, _, figure in ours}


def start(bento: Path, folder: Path, port: int, python: str = sys.executable) -> "subprocess.Popen[bytes]":
    """`bentoml serve` in a session of its own; imports that no service may have fail."""
    (folder / "blocker").mkdir(parents=True)
    (folder / "blocker" / "sitecustomize.py").write_text(_BLOCKER)
    environment = os.environ | {
        "FDPIPE_SERVICE_PORT": str(port),
        "BENTOML_HOME": str(folder / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "true",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(folder / "blocker"),
    }
    command = [python, "-m", "bentoml", "serve", str(bento), "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True)


def wait_ready(process: "subprocess.Popen[bytes]", port: int, log: Path, seconds: float = 60) -> None:
    """Until both ports answer."""
    until = time.monotonic() + seconds
    paths = (f"http://127.0.0.1:{port}/readyz", f"http://127.0.0.1:{port + 1}/v2/health/ready")
    while not all(map(_answers, paths)):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.1)


@contextmanager
def serving(pieces: tiny.Pieces, folder: Path) -> Iterator[Served]:
    """Packaged and served; the whole process group is gone afterwards."""
    release = pieces.packaged(LocalStore(folder / "store"))
    port = free_triple()
    process = start(release.path, folder, port)
    try:
        wait_ready(process, port, folder / "log")
        yield Served(release, pieces, port, folder / "log", process.pid)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The classifier of tensors."""
    folder = tmp_path_factory.mktemp("digits")
    with serving(tiny.digits(folder / "made"), folder) as served:
        yield served


@pytest.fixture(scope="session")
def prices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The regressor of columns."""
    folder = tmp_path_factory.mktemp("prices")
    with serving(tiny.prices(folder / "made"), folder) as served:
        yield served


@pytest.fixture(scope="session")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The one of every datatype."""
    folder = tmp_path_factory.mktemp("echo")
    with serving(tiny.echo(folder / "made"), folder) as served:
        yield served


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The one of images."""
    folder = tmp_path_factory.mktemp("pictures")
    with serving(raw.pictures(folder / "made"), folder) as served:
        yield served


@pytest.fixture(scope="session")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The one of texts."""
    folder = tmp_path_factory.mktemp("sentences")
    with serving(raw.sentences(folder / "made"), folder) as served:
        yield served
