"""The life of a service with several workers: its ports, deaths, end; and what is checked before it begins."""

import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import msgspec
import numpy as np
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.helper import make_tensor_value_info as value
from tritonclient.grpc import InferenceServerClient, InferInput

from fdpipe import bento
from fdpipe.artifacts import PORTS, Task, TensorSpec
from fdpipe.errors import DeploymentError
from fdpipe.processor.none import Plain
from fdpipe.serving import respawn
from fdpipe.serving.service import read_manifest
from fdpipe.sizing import Wishes
from tests.serving import tiny
from tests.serving.callers import Callers
from tests.serving.conftest import Served, serving, start, wait_ready
from tests.tiny.release import free_triple

WORKERS = 2
INFER = "/v2/models/patient/infer"
QUICK, LONG = 0, 1000
SIZE = 512


def patient(folder: Path) -> tiny.Pieces:
    """`turns`, one number a row → the sum of what as many multiplications of a matrix as the first row says come to: 0."""
    matrix = numpy_helper.from_array(np.zeros((SIZE, SIZE), np.float32), "matrix")
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["goes_on"], ["goes_on_then"]),
            helper.make_node("MatMul", ["state", "matrix"], ["state_then"]),
        ],
        "turn",
        [
            value("turn", TensorProto.INT64, []),
            value("goes_on", TensorProto.BOOL, []),
            value("state", TensorProto.FLOAT, [SIZE, SIZE]),
        ],
        [value("goes_on_then", TensorProto.BOOL, []), value("state_then", TensorProto.FLOAT, [SIZE, SIZE])],
    )
    nodes = [
        helper.make_node("ReduceMax", ["turns"], ["most"], keepdims=0),
        helper.make_node("Loop", ["most", "yes", "matrix"], ["last"], body=body),
        helper.make_node("ReduceSum", ["last"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["turns"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "sum"], ["value"]),
    ]
    constants = [matrix, numpy_helper.from_array(np.array(True), "yes")]
    graph = helper.make_graph(
        nodes,
        "patient",
        [value("turns", TensorProto.INT64, ["rows"])],
        [value("value", TensorProto.FLOAT, ["rows"])],
        constants,
    )
    inputs = (TensorSpec(name="turns", dtype="int64", shape=("rows",)),)
    artifact = tiny.saved(folder, helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), inputs)
    rows = {"turns": np.arange(40) % 3}
    pieces = tiny.pieces_of(folder, "patient", artifact, inputs, rows, Plain(), Task.REGRESSION)
    return replace(pieces, order=replace(pieces.order, sizes=Wishes(workers=WORKERS)))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two workers. The last test ends it."""
    folder = tmp_path_factory.mktemp("pair")
    with serving(patient(folder / "made"), folder) as served:
        wait_for(lambda: len(workers_on(served.master, served.port + 1)) == WORKERS)
        yield served


def body(turns: int) -> dict[str, object]:
    return {"inputs": [{"name": "turns", "datatype": "INT64", "shape": [1], "data": [turns]}]}


def wait_for(what: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def listening(pid: int) -> set[tuple[str, int]]:
    """The addresses that a process listens on; none of one that is gone. gRPC writes IPv4 as a part of IPv6."""
    try:
        found = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.Error:
        return set()
    return {(one.laddr.ip.removeprefix("::ffff:"), one.laddr.port) for one in found if one.status == psutil.CONN_LISTEN}


def workers_on(master: int, port: int) -> set[int]:
    """The living workers that listen there."""
    children = psutil.Process(master).children()
    return {one.pid for one in children if port in {found for _, found in listening(one.pid)}}


def test_every_port_of_every_process_is_on_loopback_and_no_other_service_gets_them(pair: Served) -> None:
    family = [pair.master, *workers_on(pair.master, pair.port + 2)]
    assert len(family) == 1 + WORKERS
    addresses = set().union(*map(listening, family))
    assert {host for host, _ in addresses} == {"127.0.0.1"}
    assert {port for _, port in addresses} >= set(range(pair.port, pair.port + PORTS))
    for port in range(pair.port - 2, pair.port + 3):
        with pytest.raises(DeploymentError, match=r"port \d+ belongs to process .+: stop that, or set service.port"):
            bento.require_free("127.0.0.1", port)
    bento.require_free("127.0.0.1", pair.port, own=family)


def killed(pair: Served, kills: int) -> Callers:
    """What callers were told while one worker after the other was killed, each when the former had a successor."""
    callers = Callers(pair.port + 1, INFER, msgspec.json.encode(body(QUICK)), {"content-type": "application/json"})
    with callers.asking(4):
        for number in range(kills):
            time.sleep(respawn.YOUNG_S)  # a younger one would not be brought back at once
            standing = workers_on(pair.master, pair.port + 2)
            victim = sorted(standing)[number % WORKERS]
            os.kill(victim, signal.SIGKILL)
            wait_for(lambda gone=victim: len(workers_on(pair.master, pair.port + 2) - {gone}) == WORKERS)  # type: ignore[misc]
        time.sleep(0.5)
    return callers


def test_workers_that_die_come_back_and_callers_hardly_notice(pair: Served) -> None:
    callers = killed(pair, 2)
    assert callers.told["200"] > 100
    assert callers.succeeded >= 0.999, callers.told


@pytest.mark.slow
def test_fifty_kills_under_load(pair: Served) -> None:
    callers = killed(pair, 50)
    assert callers.succeeded >= 0.999, callers.told
    assert psutil.pid_exists(pair.master)


def test_a_killed_master_takes_all_workers_along(pair: Served, tmp_path: Path) -> None:
    port = free_triple()
    process = start(pair.release.path, tmp_path / "run", port)
    try:
        wait_ready(process, port, tmp_path / "run" / "log")
        wait_for(lambda: len(workers_on(process.pid, port + 2)) == WORKERS)
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(family, timeout=10)
        assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]
        bento.require_free("127.0.0.1", port)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_what_is_under_way_is_answered_after_sigterm_and_nothing_new(pair: Served) -> None:
    """The last one: the service is gone afterwards."""
    answered: dict[str, float] = {}

    def over_http() -> None:
        reply = httpx.post(pair.oip + INFER, json=body(LONG), timeout=60)
        assert reply.json()["outputs"][0]["data"] == [0.0]
        answered["http"] = time.monotonic()

    def over_grpc() -> None:
        turns = InferInput("turns", [1], "INT64")
        turns.set_data_from_numpy(np.array([LONG]))
        with InferenceServerClient(f"127.0.0.1:{pair.port + 2}") as client:
            assert client.infer("patient", [turns], client_timeout=60).as_numpy("value").tolist() == [0.0]
        answered["grpc"] = time.monotonic()

    family = [pair.master, *workers_on(pair.master, pair.port + 2)]
    with ThreadPoolExecutor() as pool:
        under_way = [pool.submit(over_http), pool.submit(over_grpc)]
        time.sleep(0.5)
        os.kill(pair.master, signal.SIGTERM)
        told = time.monotonic()
        for one in under_way:
            one.result()
    assert min(answered.values()) > told, "nothing was under way any more"
    wait_for(lambda: psutil.Process(pair.master).status() == psutil.STATUS_ZOMBIE)
    for port in range(pair.port, pair.port + PORTS):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
    assert not [pid for pid in family[1:] if psutil.pid_exists(pid)]
    assert "Traceback" not in pair.log.read_text()


@pytest.fixture
def copied(pair: Served, tmp_path: Path) -> Path:
    """The folder of a release that may be changed, in its code."""
    shutil.copytree(pair.release.path / "src", tmp_path / "src")
    return tmp_path / "src" / "release"


@pytest.mark.parametrize("name", ["fdpipe/serving/service.py", "fdpipe/monitor/new.py", "release/release.json"])
def test_what_was_changed_after_the_release_does_not_start(copied: Path, name: str) -> None:
    assert read_manifest(copied).traffic.workers == WORKERS
    path = copied.parent / name
    text = path.read_text() if path.exists() else ""
    path.write_text(text.replace('"timeout_s": 60.0', '"timeout_s": 61.0') if name.endswith("json") else text + "\n")
    with pytest.raises(SystemExit, match=r"fdpipe: release.json or the code of patient-cpu is not the released one: deploy"):
        read_manifest(copied)
