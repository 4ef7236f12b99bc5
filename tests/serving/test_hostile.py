"""What hostile requests do to a running release: nothing. Each is refused in one line or answered, and nobody else notices."""

import gzip
import itertools
import json
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import httpx
import numpy as np
import psutil
import pytest
from tritonclient.http import InferenceServerClient, InferInput

from tests.serving import hostile, tiny
from tests.serving.conftest import Served

ROWS = np.array([[1, 2, 3, 4], [-1, 0.5, 0, 0.1]], np.float32)
MOST_GROWN_BYTES = 50e6


def worker(served: Served) -> psutil.Process:
    """The process that listens on the protocol's own port."""
    everyone = psutil.Process(served.master).children(recursive=True)
    (found,) = [one for one in everyone if any(held.laddr.port == served.port + 1 for held in one.net_connections("tcp"))]
    return found


class Caller(threading.Thread):
    """Somebody with good requests, who compares every answer to the model's own."""

    def __init__(self, served: Served) -> None:
        super().__init__(daemon=True)
        self.port = served.port + 1
        self.known = tiny.asked_directly(served.pieces, {"x": ROWS})["probabilities"]
        self.answered = self.failed = 0
        self.is_over = threading.Event()

    def run(self) -> None:
        client = InferenceServerClient(f"127.0.0.1:{self.port}")
        tensor = InferInput("x", [2, 4], "FP32").set_data_from_numpy(ROWS)
        while not self.is_over.wait(0.005):
            try:
                answer = client.infer("digits", [tensor]).as_numpy("probabilities")
                self.failed += not np.allclose(answer, self.known, rtol=1e-6)
                self.answered += 1
            except Exception:
                self.failed += 1


@contextmanager
def undisturbed(served: Served) -> Iterator[None]:
    """Meanwhile somebody else is answered; afterwards it is the same process, not much larger, and its log has no defect."""
    before = worker(served)
    grown = -before.memory_info().rss
    logged = len(served.log.read_text())
    caller = Caller(served)
    caller.start()
    yield
    caller.is_over.set()
    caller.join(30)
    after = worker(served)
    assert (after.pid, after.create_time()) == (before.pid, before.create_time())
    assert (caller.failed, caller.answered > 0) == (0, True)
    grown += after.memory_info().rss
    assert grown < MOST_GROWN_BYTES
    assert "Traceback" not in served.log.read_text()[logged:]


def send(url: str, requests: Iterable[hostile.Hostile]) -> dict[int, int]:
    """How often which status."""
    statuses: dict[int, int] = {}
    with httpx.Client() as client:
        for one in requests:
            reply = client.post(url, content=one.body, headers=one.headers)
            require_well_formed(reply, one)
            statuses[reply.status_code] = statuses.get(reply.status_code, 0) + 1
    return statuses


def require_well_formed(reply: httpx.Response, one: hostile.Hostile) -> None:
    """An answer, or a 4xx with its reason in one line."""
    if reply.status_code == 200:
        length = int(reply.headers.get("inference-header-content-length", len(reply.content)))
        assert json.loads(reply.content[:length])
        return
    assert 400 <= reply.status_code < 500, (reply.status_code, reply.text, one.body[:300], one.headers)
    assert list(reply.json()) == ["error"], reply.text
    assert 0 < len(reply.json()["error"]) < 1000
    assert reply.json()["error"].splitlines() == [reply.json()["error"]]


@pytest.mark.parametrize("path", ["v2/models/digits/infer", "predict"])
def test_torture(digits: Served, path: str) -> None:
    """The whole corpus to the protocol; to the typed API what stands alone."""
    whole = path.startswith("v2")
    requests = (
        hostile.texts() if whole else (hostile.Hostile(body=b'{"inputs":{"x":[[1,2,3,%s]]}}' % one) for one in hostile.values())
    )
    with undisturbed(digits):
        statuses = send(f"{digits.oip}/{path}", requests)
    assert set(statuses) <= {200, 400, 422}
    assert statuses[400] > (1500 if whole else 90)


def test_mutations(digits: Served) -> None:
    with undisturbed(digits), slow_senders(digits):
        statuses = send(f"{digits.oip}/v2/models/digits/infer", hostile.mutations(3000, seed=6))
    assert set(statuses) == {200, 400}
    assert statuses[400] > 1500


@contextmanager
def slow_senders(served: Served) -> Iterator[None]:
    """They hold their connections, and nothing else, until their time is up or they go."""
    head = b"POST /v2/models/digits/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
    connections = [socket.create_connection(("127.0.0.1", served.port + 1), timeout=30) for _ in range(50)]
    for one in connections:
        one.sendall(head)
    yield
    for one in connections[1:]:
        one.close()
    with connections[0] as last:
        answer = last.recv(1000)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert answer.endswith(b'{"error":"the body was not there within 10 s"}')


@pytest.mark.slow
def test_many_mutations(digits: Served) -> None:
    with undisturbed(digits):
        for seed in range(100, 120):
            assert set(send(f"{digits.oip}/v2/models/digits/infer", hostile.mutations(3000, seed))) <= {200, 400, 422}


def test_bodies_that_are_too_much(digits: Served) -> None:
    """Larger than the limit, announced or not, and small ones that would become large."""
    url = f"{digits.oip}/v2/models/digits/infer"
    bomb = gzip.compress(b"[" * 50_000_000)
    with undisturbed(digits), httpx.Client() as client:
        for _ in range(30):
            assert client.post(url, content=b" " * (2**20 + 1)).status_code == 413
            assert client.post(url, content=itertools.repeat(b" " * 65536, 17)).status_code == 413
            for coding in ("gzip", "deflate", "br", "gzip, gzip"):
                assert client.post(url, content=bomb, headers={"Content-Encoding": coding}).status_code == 415


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "x", "1, 2"])
def test_lengths_that_are_none(digits: Served, length: str) -> None:
    with socket.create_connection(("127.0.0.1", digits.port + 1), timeout=10) as connection:
        connection.sendall(f"POST /v2 HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
    assert httpx.get(f"{digits.oip}/v2").status_code == 200
