"""Golden requests, asked of a real HTTP server whose answers can be wrong."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdpipe.arrays import save_arrays
from fdpipe.conformance.golden import Address, ask

X = np.array([[1.0, 2.0], [3.0, np.nan], [5.0, 6.0]], dtype=np.float32)
WORD = np.array(["a", "", "c"])
SCORE = np.array([0.25, 2.5, 123456.5], dtype=np.float32)
LABEL = np.array(["cat", "dog", "cat"])
COUNT = np.array([1, 2, 3], dtype=np.int64)


class Server(ThreadingHTTPServer):
    """Answers from a table by the first feature; `spoil` changes what is sent, requests are kept."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, Any]] = []
        self.answers: dict[str, list[Any]] = {"score": SCORE.tolist(), "label": LABEL.tolist(), "count": COUNT.tolist()}
        self.status = 200

    @property
    def address(self) -> Address:
        url = f"http://127.0.0.1:{self.server_port}"
        return Address(api=url, open_inference=url, model="m")


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.path, body))
        flat = self.path == "/v2/models/m/infer"
        firsts = body["inputs"][0]["data"][::2] if flat else [row[0] for row in body["inputs"]["x"]]
        rows = [X[:, 0].tolist().index(first) for first in firsts]
        answers = {name: [values[row] for row in rows] for name, values in self.server.answers.items()}
        outputs = [{"name": name, "shape": [len(rows)], "data": values} for name, values in answers.items()]
        self._send(json.dumps({"outputs": outputs} if flat else answers).encode())

    def _send(self, reply: bytes) -> None:
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    path = tmp_path / "golden.npz"
    answers = {"answer.score": SCORE, "answer.label": LABEL, "answer.count": COUNT}
    save_arrays(path, {"input.x": X, "input.word": WORD, **answers})
    return path


def test_where_answers_depend_on_the_request_those_to_all_rows_are_others(server: Server, tmp_path: Path) -> None:
    path, known = tmp_path / "golden.npz", {"input.x": X, "input.word": WORD, "answer.score": SCORE}
    save_arrays(path, known | {"together.score": SCORE * 2})
    heard = ask(path, server.address)
    assert (heard.requests, heard.wrong) == (8, 2)
    assert "rows 0 to 2" in heard.first_wrong
    save_arrays(path, known | {"answer.score": SCORE * 2, "together.score": SCORE})
    assert ask(path, server.address).wrong == 6


def test_every_row_alone_and_all_together_over_both_protocols(server: Server, golden: Path) -> None:
    heard = ask(golden, server.address)
    assert (heard.requests, heard.wrong, heard.first_wrong) == (8, 0, "")
    assert heard.protocols == ("bentoml", "oip-rest")
    assert heard.largest_difference == 0.0
    assert ("/predict", {"inputs": {"x": [[3.0, None]], "word": [""]}}) in server.asked
    flat = [
        {"name": "x", "shape": [3, 2], "datatype": "FP32", "data": [1.0, 2.0, 3.0, None, 5.0, 6.0]},
        {"name": "word", "shape": [3], "datatype": "BYTES", "data": ["a", "", "c"]},
    ]
    assert server.asked[-1] == ("/v2/models/m/infer", {"inputs": flat})


def test_a_few_rows_alone(server: Server, golden: Path) -> None:
    assert ask(golden, server.address, singles=1).requests == 4


def test_a_difference_within_the_tolerance_is_told(server: Server, golden: Path) -> None:
    server.answers["score"] = [0.25 + 5e-6, 2.5, 123457.0]
    heard = ask(golden, server.address)
    assert heard.wrong == 0
    assert heard.largest_difference == pytest.approx(5e-6, rel=0.01)


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        ("score", [0.25 + 2e-5, 2.5, 123456.5], "bentoml, rows 0 to 0: score is [0.25002], should be [0.25]"),
        ("score", [0.25, 2.5, 123459.5], "bentoml, rows 2 to 2: score is [123459.5], should be [123456.5]"),
        ("score", [0.25, None, 123456.5], "bentoml, rows 1 to 1: score is [nan], should be [2.5]"),
        ("label", ["cat", "cat", "cat"], "bentoml, rows 1 to 1: label is ['cat'], should be ['dog']"),
        ("count", [1, 2, 4], "bentoml, rows 2 to 2: count is [4], should be [3]"),
        ("count", [[1], [2], [3]], "bentoml, rows 0 to 0: count has shape (1, 1), should be (1,)"),
        ("count", [1, 2, "three"], "bentoml, rows 2 to 2"),
    ],
)
def test_a_wrong_answer_is_counted_and_described(server: Server, golden: Path, name: str, values: list[Any], text: str) -> None:
    server.answers[name] = values
    heard = ask(golden, server.address)
    assert heard.wrong >= 4
    assert heard.first_wrong.startswith(text)


def test_an_answer_that_is_not_given_is_wrong(server: Server, golden: Path) -> None:
    del server.answers["label"]
    heard = ask(golden, server.address)
    assert (heard.wrong, heard.requests) == (8, 8)
    assert heard.first_wrong == "bentoml, rows 0 to 0: no answer 'label', but score, count"


def test_a_refused_request_is_wrong(server: Server, golden: Path) -> None:
    server.status = 503
    heard = ask(golden, server.address)
    assert heard.wrong == 8
    assert "status 503" in heard.first_wrong


def test_nobody_there_is_wrong(golden: Path) -> None:
    nobody = Address(api="http://127.0.0.1:1", open_inference="http://127.0.0.1:1", model="m")
    heard = ask(golden, nobody)
    assert heard.wrong == 8
    assert "ConnectError" in heard.first_wrong
