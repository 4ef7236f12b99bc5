"""The servers: how each is started, and how it is asked."""

import json
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from onnx import save_model

from bench.serve import asks, ours, process
from bench.serve.asks import Read
from bench.serve.in_process import answers
from bench.serve.load import Ask, Shot, shoot
from bench.serve.mlserver import mlserver_python
from bench.serve.models import Subject
from fdpipe.bento import free_port, is_ready, url

HOST = "127.0.0.1"
FIRST_PORT = 4800
APPS = Path(__file__).parent / "apps"

BINARY, TEXT, GRPC = "fdpipe, REST, binary tensors", "fdpipe, REST, JSON", "fdpipe, gRPC, raw tensors"
STOCK, BATCHED = "BentoML as it comes", "BentoML with its batching"
MLSERVER, MLSERVER_GRPC = "MLServer, REST", "MLServer, gRPC"
RAW, FASTAPI = "raw ASGI under uvicorn, binary", "FastAPI + pydantic"
IN_PROCESS = "ONNX Runtime in process"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One way to ask a server, under the name of its row, and how its answer is read."""

    name: str
    ask: Ask
    read: Read
    process: int

    def shoot(self, seconds: int) -> Shot:
        """Ask it for so long, by the load's program."""
        before = process.processor_s(self.process)
        shot = shoot(self.ask, seconds)
        return replace(shot, per_processor_s=shot.requests_per_s * seconds / (process.processor_s(self.process) - before))


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a server is started with: its port (and those after it), a folder of its own, the model's file and its subject."""

    port: int
    folder: Path
    model: Path
    subject: Subject

    @property
    def row(self) -> np.ndarray:
        """What is asked."""
        return self.subject.row()

    def url(self, path: str, after: int = 0) -> str:
        """On the port so many after the first."""
        return f"{url(HOST, self.port + after)}{path}"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that answers under one or several names."""

    names: tuple[str, ...]
    start: Callable[[Place], AbstractContextManager[Sequence[Asked]]]


@contextmanager
def _fdpipe(place: Place) -> Iterator[Sequence[Asked]]:
    with ours.served(place.subject, place.folder, place.port) as bento:
        path = f"/v2/models/{place.subject.name}/infer"
        row = place.row
        yield (
            Asked(name=BINARY, ask=asks.oip_binary(place.url(path, 1), row), read=asks.read_binary, process=bento.master.pid),
            Asked(name=TEXT, ask=asks.oip(place.url(path, 1), row), read=asks.read_json, process=bento.master.pid),
            Asked(
                name=GRPC,
                ask=asks.oip_grpc(place.url("", 2), place.subject.name, row),
                read=asks.read_grpc,
                process=bento.master.pid,
            ),
        )


def _bentoml(service: str, name: str) -> Callable[[Place], AbstractContextManager[Sequence[Asked]]]:
    @contextmanager
    def start(place: Place) -> Iterator[Sequence[Asked]]:
        words = ["bentoml", "serve", f"stock:{service}", "--host", HOST, "--port", str(place.port)]
        with _app(place, "stock.py", words, "/readyz", {"BENTOML_HOME": str(place.folder / "home")}) as pid:
            yield (Asked(name=name, ask=asks.named(place.url("/predict"), place.row), read=asks.read_json, process=pid),)

    return start


@contextmanager
def _raw(place: Place) -> Iterator[Sequence[Asked]]:
    with _app(place, "raw.py", _uvicorn("raw", place), "/") as pid:
        yield (Asked(name=RAW, ask=asks.raw(place.url("/"), place.row), read=asks.read_raw, process=pid),)


@contextmanager
def _fastapi(place: Place) -> Iterator[Sequence[Asked]]:
    with _app(place, "typed.py", _uvicorn("typed", place), "/docs") as pid:
        yield (Asked(name=FASTAPI, ask=asks.named(place.url("/predict"), place.row), read=asks.read_json, process=pid),)


def _uvicorn(module: str, place: Place) -> list[str]:
    loop = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    return ["uvicorn", f"{module}:app", "--host", HOST, "--port", str(place.port), *loop]


@contextmanager
def _mlserver(place: Place) -> Iterator[Sequence[Asked]]:
    python, name = mlserver_python(), place.subject.name
    ports = {"http_port": place.port, "grpc_port": place.port + 1, "metrics_port": place.port + 2}
    settings = {"host": HOST, "parallel_workers": 0, "grpc_max_message_length": -1, **ports}
    (place.folder / "settings.json").write_text(json.dumps(settings))
    model = {"name": name, "implementation": "mlserver_model.Onnx"}
    (place.folder / "model-settings.json").write_text(json.dumps(model))
    path = f"/v2/models/{name}"
    with _app(place, "mlserver_model.py", ["mlserver_model", "start", "."], f"{path}/ready", python=python) as pid:
        yield (
            Asked(name=MLSERVER, ask=asks.oip(place.url(f"{path}/infer"), place.row), read=asks.read_json, process=pid),
            Asked(name=MLSERVER_GRPC, ask=asks.oip_grpc(place.url("", 1), name, place.row), read=asks.read_grpc, process=pid),
        )


@contextmanager
def _app(
    place: Place,
    app: str,
    words: Sequence[str],
    ready: str,
    environment: Mapping[str, str] | None = None,
    python: Path = Path(sys.executable),
) -> Iterator[int]:
    shutil.copy(APPS / app, place.folder)
    shutil.copy(place.model, place.folder / "model.onnx")
    around = {"PYTHONPATH": str(place.folder)} | dict(environment or {})
    with process.running(python, words, place.folder, around, lambda: _is_up(place.port, ready)) as started_process:
        yield started_process.pid


def _is_up(port: int, path: str) -> bool:
    """The raw application has no path for that: there it is enough that somebody listens."""
    if path != "/":
        return is_ready(HOST, port, path, 2.0)
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


SERVERS = (
    Server(names=(BINARY, TEXT, GRPC), start=_fdpipe),
    Server(names=(STOCK,), start=_bentoml("Stock", STOCK)),
    Server(names=(BATCHED,), start=_bentoml("Batched", BATCHED)),
    Server(names=(MLSERVER, MLSERVER_GRPC), start=_mlserver),
    Server(names=(RAW,), start=_raw),
    Server(names=(FASTAPI,), start=_fastapi),
)


@dataclass
class Running:
    """What was started: the ways to ask, and why others are not there."""

    asked: list[Asked] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


@contextmanager
def started(subject: Subject, folder: Path, servers: Sequence[Server] = SERVERS) -> Iterator[tuple[Running, Path]]:
    """All of them at once, and the model's file. A peer that does not start, or answers wrongly, is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "model.onnx"
    made = subject.onnx()
    made.ir_version = 10
    save_model(made, model)
    right = answers(model, subject.row())
    running = Running()
    with ExitStack() as stack:
        port = FIRST_PORT
        for number, server in enumerate(servers):
            place = Place(port=free_port(HOST, port), folder=folder / str(number), model=model, subject=subject)
            place.folder.mkdir()
            port = place.port + 3
            try:
                for one in stack.enter_context(server.start(place)):
                    found = one.read(one.ask)
                    if found.shape != right.shape or not np.allclose(found, right, atol=asks.TOLERANCE):
                        running.missing[one.name] = "it answers something else than the model"
                        continue
                    running.asked.append(one)
            except Exception as error:
                gone = [name for name in server.names if name not in {one.name for one in running.asked}]
                running.missing |= {name: f"{type(error).__name__}: {str(error).splitlines()[0][:160]}" for name in gone}
        yield running, model
