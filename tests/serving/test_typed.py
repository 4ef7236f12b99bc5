"""BentoML's typed API of a running release."""

import json

import bentoml
import httpx
import numpy as np
import pytest

from tests.serving import tiny
from tests.serving.conftest import Served

ROWS = np.array([[1, 2, 3, 4], [-1, 0.5, 0, 0.1]], np.float32)


def ask(served: Served, inputs: object) -> httpx.Response:
    return httpx.post(f"{served.api}/predict", json={"inputs": inputs})


def test_answers_are_the_models_own(digits: Served) -> None:
    known = tiny.asked_directly(digits.pieces, {"x": ROWS})
    reply = ask(digits, {"x": ROWS.tolist()})
    assert reply.status_code == 200
    assert reply.headers["x-fdpipe-release"] == digits.release.digest
    assert reply.json() == {"label": known["label"].tolist(), "probabilities": known["probabilities"].tolist()}


def test_bentomls_own_client(digits: Served) -> None:
    with bentoml.SyncHTTPClient(digits.api) as client:
        reply = client.predict(inputs={"x": ROWS.tolist()})
    known = tiny.asked_directly(digits.pieces, {"x": ROWS})
    np.testing.assert_array_equal(reply["label"], known["label"])


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({}, "input 'x' is missing"),
        ({"x": [[1, 2, 3, 4]], "y": [1]}, "there is no input 'y': the model has x"),
        ({"x": [[1, 2, 3]]}, "has shape [1, 3], the model takes [-1, 4]"),
        ({"x": [[1, 2, 3, 4], [1]]}, "input 'x' is ragged"),
        ({"x": [[1, 2, 3, "4"]]}, "Expected `float | null`, got `str`"),
        ({"x": "text"}, "must be a list"),
        ([1], 'the body is not {"inputs": {name: list}} in JSON'),
    ],
)
def test_what_does_not_fit(digits: Served, inputs: object, says: str) -> None:
    reply = ask(digits, inputs)
    assert reply.status_code == 400
    assert set(reply.json()) == {"error"}
    assert says in reply.json()["error"]
    assert "\n" not in reply.json()["error"]


DEEP = b'{"inputs": {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"inputs": {"x": [[NaN, 1, 2, 3]]}}',
        b'{"inputs": {}, "more": 1}',
        b"\xff",
        DEEP,
        b'{"inputs": {"\xff": 1}}',
    ],
)
def test_what_is_no_request(digits: Served, body: bytes) -> None:
    reply = httpx.post(f"{digits.api}/predict", content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 400
    assert set(reply.json()) == {"error"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "says"),
    [
        ("GET", "/predict", {}, 405, "GET /predict is refused: POST is allowed"),
        ("POST", "/nosuch", {}, 404, "POST /nosuch is refused: Not Found"),
        ("POST", "/metrics", {}, 405, "POST /metrics is refused: Method Not Allowed"),
        ("POST", "/predict", {"content-type": "application/vnd.bentoml+pickle"}, 415, "pickled bodies are refused"),
        ("POST", "/predict", {"content-encoding": "gzip"}, 415, "compressed bodies are not supported"),
    ],
)
def test_what_is_refused_in_the_same_form(
    digits: Served, method: str, path: str, headers: dict[str, str], status: int, says: str
) -> None:
    reply = httpx.request(method, digits.api + path, headers=headers)
    assert reply.status_code == status
    assert set(reply.json()) == {"error"}
    assert says in reply.json()["error"]
    assert int(reply.headers["content-length"]) == len(reply.content)


def test_a_large_body_is_refused_before_it_comes(digits: Served) -> None:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", digits.port, timeout=10)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Length", str(2**21))
    connection.endheaders(b"{")
    reply = connection.getresponse()
    assert reply.status == 413
    assert json.loads(reply.read()) == {"error": "the body is larger than 1 MiB"}


def test_columns_with_missing_values(prices: Served) -> None:
    records = {tiny.AGE: np.array([30.0, np.nan]), tiny.CITY: np.array(["Bern", ""]), tiny.HEIGHT: np.array([170.5, 180.0])}
    inputs = {tiny.AGE: [30, None], tiny.CITY: ["Bern", None], tiny.HEIGHT: [[170.5], [180.0]]}
    reply = ask(prices, inputs)
    assert reply.json() == {"value": tiny.asked_directly(prices.pieces, records)["value"].tolist()}
    assert reply.json()["value"] == [210.5, 180.0]


def test_an_answer_that_json_cannot_say(prices: Served) -> None:
    reply = ask(prices, {tiny.AGE: [30], tiny.CITY: ["Bern"], tiny.HEIGHT: [None]})
    assert reply.status_code == 422
    assert "not finite" in reply.json()["error"]


def test_the_documentation_has_the_models_own_names(prices: Served) -> None:
    schemas = httpx.get(f"{prices.api}/docs.json").json()["components"]["schemas"]
    assert set(schemas["Inputs"]["properties"]) == {tiny.AGE, tiny.CITY, tiny.HEIGHT}
    assert set(schemas["Inputs"]["required"]) == {tiny.AGE, tiny.CITY, tiny.HEIGHT}
    assert set(schemas["PredictOutput"]["properties"]) == {"value"}
