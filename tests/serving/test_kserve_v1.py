"""KServe's V1 protocol against running Bentos."""

import base64
import json

import httpx
import numpy as np
import pytest

from tests.serving import raw, tiny
from tests.serving.conftest import Served

ROW = {tiny.AGE: 30.0, tiny.CITY: "Zug", tiny.HEIGHT: 170.0}
OTHER = {tiny.AGE: None, tiny.CITY: "Bern", tiny.HEIGHT: 150.5}
VALUES = [230.0, 160.5]


def predict(served: Served, body: object, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(f"{served.oip}/v1/models/{served.release.model.name}:predict", content=content, headers=headers)


def test_what_is_served(digits: Served) -> None:
    for address in (digits.api, digits.oip):
        assert httpx.get(f"{address}/v1/models").json() == {"models": ["digits"]}
        assert httpx.get(f"{address}/v1/models/digits").json() == {"name": "digits", "ready": True}


def test_it_lives_where_bentoml_has_no_page(digits: Served) -> None:
    assert httpx.get(f"{digits.oip}/").json() == {"status": "alive"}
    assert httpx.get(f"{digits.api}/").headers["content-type"].startswith("text/html")


def test_labels_come_for_rows_and_for_columns(digits: Served) -> None:
    x = np.random.default_rng(5).normal(size=(6, 4)).astype(np.float32)
    expected = {"predictions": tiny.asked_directly(digits.pieces, {"x": x})["label"].tolist()}
    rows = x.tolist()
    for body in ({"instances": rows}, {"instances": [{"x": row} for row in rows]}, {"inputs": rows}, {"inputs": {"x": rows}}):
        found = predict(digits, body)
        assert (found.status_code, found.json()) == (200, expected)
        assert found.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [ROW, OTHER]},
        {"instances": [list(ROW.values()), list(OTHER.values())]},
        {"inputs": {name: [ROW[name], OTHER[name]] for name in ROW}},
    ],
)
def test_values_come_for_columns(prices: Served, body: object) -> None:
    assert predict(prices, body).json() == {"predictions": VALUES}


def test_labels_of_raw_images_have_names(pictures: Served) -> None:
    text = base64.b64encode(raw.picture("green")).decode()
    for body in ({"instances": [{"b64": text}]}, {"instances": [{"image": {"b64": text}}]}, {"inputs": {"image": text}}):
        (found,) = predict(pictures, body).json()["predictions"]
        assert found["label"] == "green"
        assert 1 / 3 < found["score"] < 1


def test_several_answers_come_by_name(echo: Served) -> None:
    """For rows one by one, for columns together."""
    rng = np.random.default_rng(6)
    specs = [spec for spec in echo.pieces.model.inputs if not (spec.dtype.startswith("float") and len(spec.shape) > 0)]
    specs += [spec for spec in echo.pieces.model.inputs if spec not in specs]
    columns = {spec.name: tiny.anything(rng, spec, 2).tolist() for spec in specs}
    by_column = predict(echo, {"inputs": columns}).json()["predictions"]
    assert by_column == {f"{name}_out": values for name, values in columns.items()}
    rows = [{name: values[row] for name, values in columns.items()} for row in range(2)]
    by_row = predict(echo, {"instances": rows}).json()["predictions"]
    assert by_row == [{f"{name}_out": value for name, value in row.items()} for row in rows]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", 'the body is not {"instances": [row, …]} in JSON'),
        (b"[]", "in JSON"),
        (b'{"instances":[[NaN,1,1,1]]}', "malformed"),
        (b'{"instances":[[1,1,1,"\xff"]]}', "got `str`"),
        (b'{"instances":' + b"[" * 100_000, "in JSON"),
        ({}, "either instances (rows) or inputs (columns)"),
        ({"instances": [[1, 2, 3, 4]], "inputs": [[1, 2, 3, 4]]}, "either instances (rows) or inputs (columns)"),
        ({"instances": None}, "must be a list"),
        ({"instances": [[1, 2, 3, 4]], "signature_name": "x"}, "unknown field `signature_name`"),
        ({"instances": []}, "no rows"),
        ({"instances": [[1, 2, 3]]}, "has shape [1, 3], the model takes [-1, 4]"),
        ({"instances": [[1, 2, 3, "4"]]}, "got `str`"),
        ({"instances": [[1, 2, 3, 10**400]]}, "out of range"),
        ({"instances": [{"y": [1, 2, 3, 4]}]}, "there is no input 'y'"),
    ],
)
def test_refused(digits: Served, body: object, told: str) -> None:
    found = predict(digits, body)
    assert found.status_code == 400
    assert list(found.json()) == ["error"]
    assert told in found.json()["error"]
    assert "\n" not in found.json()["error"]


def test_an_answer_that_is_no_number_is_refused(prices: Served) -> None:
    found = predict(prices, {"instances": [ROW | {tiny.HEIGHT: None}]})
    assert (found.status_code, found.json()) == (
        422, {"error": "the answer 'value' has a number that is not finite, for these inputs"}
    )  # fmt: skip


@pytest.mark.parametrize("path", ["/v1/models/other", "/v1/models/digits:explain", "/v1", "/v1/models/digits/x"])
def test_there_is_nothing_else(digits: Served, path: str) -> None:
    for method in ("GET", "POST"):
        found = httpx.request(method, f"{digits.oip}{path}")
        assert found.status_code == 404
        assert found.json()["error"].startswith("there is nothing at")


def test_headers_are_heeded(digits: Served) -> None:
    assert predict(digits, {"instances": [[1, 2, 3, 4]]}, **{"x-request-timeout-ms": "soon"}).status_code == 400
    assert predict(digits, b"\x80", **{"content-type": "application/x-pickle"}).status_code == 415


def test_it_is_counted_under_its_name(digits: Served) -> None:
    predict(digits, {"instances": [[1, 2, 3, 4]]})
    assert any('protocol="kserve_v1"' in name for name in digits.metrics())
