"""The Open Inference Protocol of a running release, asked by Triton's own client and by hand."""

from typing import Any

import httpx
import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from tests.serving import tiny
from tests.serving.conftest import Served

ROWS = np.array([[1, 2, 3, 4], [-1, 0.5, 0, 0.1]], np.float32)
RECORDS = {
    tiny.AGE: np.array([30.0, np.nan]),
    tiny.CITY: np.array(["Bern", "Zug"], dtype=object),
    tiny.HEIGHT: np.array([170.5, 180.0]),
}


@pytest.fixture(params=["own port", "beside BentoML's API"])
def client(request: pytest.FixtureRequest, digits: Served) -> InferenceServerClient:
    port = digits.port + (request.param == "own port")
    return InferenceServerClient(f"127.0.0.1:{port}")


def _input(name: str, array: np.ndarray, datatype: str, *, binary: bool) -> InferInput:
    tensor = InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


def test_metadata(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data", "model_configuration"]
    assert client.is_model_ready("digits")
    assert client.is_model_ready("digits", "7")
    assert client.get_model_metadata("digits", "7") == {
        "name": "digits",
        "versions": ["7"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
        ],
    }


@pytest.mark.parametrize("sent_binary", [True, False])
@pytest.mark.parametrize("asked_binary", [True, False, None])
def test_infer(client: InferenceServerClient, digits: Served, sent_binary: bool, asked_binary: bool | None) -> None:
    known = tiny.asked_directly(digits.pieces, {"x": ROWS})
    outputs = None if asked_binary is None else [InferRequestedOutput(name, binary_data=asked_binary) for name in known]
    reply = client.infer("digits", [_input("x", ROWS, "FP32", binary=sent_binary)], outputs=outputs, request_id="r1")
    assert reply.get_response()["id"] == "r1"
    assert reply.get_response()["model_version"] == "7"
    for name, array in known.items():
        np.testing.assert_array_equal(reply.as_numpy(name), array)


def test_one_output_of_two(client: InferenceServerClient) -> None:
    reply = client.infer("digits", [_input("x", ROWS, "FP32", binary=True)], outputs=[InferRequestedOutput("label")])
    assert reply.as_numpy("label").shape == (2,)
    assert reply.as_numpy("probabilities") is None


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("two_axes", [True, False])
def test_columns(prices: Served, binary: bool, two_axes: bool) -> None:
    records = RECORDS if binary else {name: array[:1] for name, array in RECORDS.items()}
    known = tiny.asked_directly(prices.pieces, records)["value"]
    datatypes = {tiny.AGE: "FP64", tiny.CITY: "BYTES", tiny.HEIGHT: "FP64"}
    inputs = [
        _input(name, array.reshape(-1, 1) if two_axes else array, datatypes[name], binary=binary)
        for name, array in records.items()
    ]
    reply = InferenceServerClient(f"127.0.0.1:{prices.port + 1}").infer("prices", inputs)
    np.testing.assert_array_equal(reply.as_numpy("value"), known)


def test_a_number_that_json_cannot_say_comes_as_bytes(prices: Served) -> None:
    client = InferenceServerClient(f"127.0.0.1:{prices.port + 1}")
    records = RECORDS | {tiny.HEIGHT: np.array([np.nan, 180.0])}
    inputs = [_input(name, array, "BYTES" if name == tiny.CITY else "FP64", binary=True) for name, array in records.items()]
    reply = client.infer("prices", inputs, outputs=[InferRequestedOutput("value", binary_data=True)])
    assert np.isnan(reply.as_numpy("value")).tolist() == [True, False]
    with pytest.raises(InferenceServerException, match=r"\[422\].*not finite"):
        client.infer("prices", inputs, outputs=[InferRequestedOutput("value", binary_data=False)])


def test_metadata_of_columns(prices: Served) -> None:
    found = InferenceServerClient(f"127.0.0.1:{prices.port + 1}").get_model_metadata("prices")
    assert found["inputs"] == [
        {"name": tiny.AGE, "datatype": "FP64", "shape": [-1]},
        {"name": tiny.CITY, "datatype": "BYTES", "shape": [-1]},
        {"name": tiny.HEIGHT, "datatype": "FP64", "shape": [-1]},
    ]


def _tensor(**changes: object) -> dict[str, Any]:
    return {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]} | changes


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"inputs": [_tensor(name="z")]}, "there is no input 'z': the model has x"),
        ({"inputs": []}, "input 'x' is missing"),
        ({"inputs": [_tensor(), _tensor()]}, "there twice"),
        ({"inputs": [_tensor(datatype="FP64")]}, "has datatype 'FP64', the model takes FP32"),
        ({"inputs": [_tensor(shape=[1, 5])]}, "has 4 elements, which do not fill its shape [1, 5]"),
        ({"inputs": [_tensor(shape=[4, 1])]}, "has shape [4, 1], the model takes [-1, 4]"),
        ({"inputs": [_tensor(shape=[0, 4], data=[])]}, "the inputs have no rows"),
        ({"inputs": [_tensor(shape=["1", 4])]}, "Expected `int`, got `str`"),
        ({"inputs": [_tensor(data=[[1, 2], [3]])]}, "ragged"),
        ({"inputs": [_tensor(data=[1, 2, 3, "4"])]}, "Expected `float | null`, got `str`"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4]}]}, "has neither data nor a binary_data_size"),
        ({"inputs": [_tensor(data=None)]}, "must be a list"),
        ({"inputs": [_tensor()], "outputs": [{"name": "z"}]}, "there is no output 'z': the model has label, probabilities"),
        ({"inputs": [_tensor()], "outputs": [{"name": "label"}] * 2}, "an output is asked for twice"),
        (
            {"inputs": [_tensor()], "outputs": [{"name": "label", "parameters": {"classification": 3}}]},
            "output 'label' asks for a classification, which this service does not offer",
        ),
        (
            {"inputs": [_tensor()], "outputs": [{"name": "label", "parameters": {"shared_memory_region": "a"}}]},
            "output 'label' is in shared memory, which this service does not offer",
        ),
        ({"inputs": [_tensor(parameters={"shared_memory_region": "a"})]}, "input 'x' is in shared memory"),
        ({"inputs": [_tensor(parameters={"binary_data_size": 0})]}, "has both data and a binary_data_size"),
        ({"inputs": [_tensor()], "parameters": {"timeout": -1}}, "at `$.parameters.timeout`"),
        ({"inputs": [_tensor()], "parameters": {"timeout": 1.5}}, "at `$.parameters.timeout`"),
        ({"inputs": [_tensor()], "id": 3}, "at `$.id`"),
        ({"inputs": [_tensor(parameters={"binary_data_size": 16})]}, "has a binary_data_size of 16, 0 bytes are left"),
        ({"inputs": [_tensor(parameters={"binary_data_size": "a"})]}, "at `$.inputs[0].parameters.binary_data_size`"),
        ({"inputs": [_tensor(shape=[1] * 70 + [4])]}, "has 4 elements, which do not fill its shape"),
        ({"inputs": [_tensor(shape=[0, 10**30], data=[])]}, "has 0 elements, which do not fill its shape"),
        ({"inputs": [_tensor(shape=[-1, -4])]}, "has 4 elements, which do not fill its shape [-1, -4]"),
        ({"inputs": [_tensor(name="z" * 100_000)]}, "there is no input 'zzz"),
        ({}, "missing required field `inputs`"),
        ([], "no inference request in JSON"),
    ],
)
def test_what_does_not_fit(digits: Served, body: object, says: str) -> None:
    reply = httpx.post(f"{digits.oip}/v2/models/digits/infer", json=body)
    assert reply.status_code == 400
    assert set(reply.json()) == {"error"}
    assert says in reply.json()["error"]
    assert "\n" not in reply.json()["error"]
    assert len(reply.json()["error"]) < 1000
    assert reply.headers["x-fdpipe-release"] == digits.release.digest


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"inputs": [{"name": "\xff\xfe"}]}',
        "{}".encode("utf-16"),
    ],
    ids=["lists", "objects", "UTF-8", "UTF-16"],
)
def test_what_is_no_json(digits: Served, body: bytes) -> None:
    reply = httpx.post(f"{digits.oip}/v2/models/digits/infer", content=body)
    assert reply.status_code == 400
    assert reply.json()["error"].startswith("the request is no inference request in JSON")


@pytest.mark.parametrize("outputs", [None, []])
def test_without_outputs_all_are_answered(digits: Served, outputs: list[object] | None) -> None:
    reply = httpx.post(f"{digits.oip}/v2/models/digits/infer", json={"inputs": [_tensor()], "outputs": outputs})
    assert [item["name"] for item in reply.json()["outputs"]] == ["label", "probabilities"]


def test_the_same_json_before_other_bytes(digits: Served) -> None:
    """Its second request is not read again: answers must be the second's own, and a body of another size refused as ever."""
    client = InferenceServerClient(f"127.0.0.1:{digits.port + 1}")
    for rows in (ROWS, -ROWS, ROWS * 0):
        reply = client.infer("digits", [_input("x", rows, "FP32", binary=True)])
        known = tiny.asked_directly(digits.pieces, {"x": rows})
        np.testing.assert_array_equal(reply.as_numpy("probabilities"), known["probabilities"])
    body, length = InferenceServerClient.generate_request_body([_input("x", ROWS, "FP32", binary=True)])
    url, headers = f"{digits.oip}/v2/models/digits/infer", {"Inference-Header-Content-Length": str(length)}
    assert httpx.post(url, content=body, headers=headers).status_code == 200
    for wrong in (body[:-1], body + b"\0"):
        assert httpx.post(url, content=wrong, headers=headers).status_code == 400


@pytest.mark.parametrize("missing", ["stats", "trace/setting", "explain"])
def test_what_is_not_offered(digits: Served, missing: str) -> None:
    reply = httpx.get(f"{digits.oip}/v2/models/digits/{missing}")
    assert (reply.status_code, list(reply.json())) == (404, ["error"])


def test_nested_data_and_parameters(digits: Served) -> None:
    body = {"id": "a", "parameters": {"sequence_id": 3}, "inputs": [_tensor(shape=[2, 4], data=ROWS.tolist())]}
    reply = httpx.post(f"{digits.oip}/v2/models/digits/versions/7/infer", json=body)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    assert [item["shape"] for item in reply.json()["outputs"]] == [[2], [2, 3]]


@pytest.mark.parametrize(
    ("headers", "status", "says"),
    [
        ({"Inference-Header-Content-Length": "10000"}, 400, "Inference-Header-Content-Length is 10000"),
        ({"Inference-Header-Content-Length": "x"}, 400, "Inference-Header-Content-Length is x"),
        ({"Inference-Header-Content-Length": "9" * 5000}, 400, "Inference-Header-Content-Length is 999"),
        ({"Inference-Header-Content-Length": "-1"}, 400, "Inference-Header-Content-Length is -1"),
        ({"Content-Encoding": "gzip"}, 415, "compressed bodies are not supported"),
        ({"Content-Type": "application/x-python-pickle"}, 415, "pickled bodies are refused"),
        ({"X-Request-Timeout-Ms": "soon"}, 400, "x-request-timeout-ms is 'soon': it must be a number of milliseconds"),
    ],
)
def test_headers_that_do_not_fit(digits: Served, headers: dict[str, str], status: int, says: str) -> None:
    reply = httpx.post(f"{digits.oip}/v2/models/digits/infer", json={"inputs": [_tensor()]}, headers=headers)
    assert reply.status_code == status
    assert says in reply.json()["error"]


def test_bytes_that_belong_to_nothing(digits: Served) -> None:
    content = httpx.Request("POST", "http://x", json={"inputs": [_tensor()]}).content
    headers = {"Inference-Header-Content-Length": str(len(content))}
    reply = httpx.post(f"{digits.oip}/v2/models/digits/infer", content=content + b"rest", headers=headers)
    assert reply.json() == {"error": "4 bytes of the body belong to no input"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/digits/versions/8", 404),
        ("GET", "/v2/models/other/ready", 404),
        ("POST", "/v2/models/other/infer", 404),
        ("GET", "/v2/nothing", 404),
        ("GET", "/v2/models/digits/infer", 405),
        ("DELETE", "/v2/models/digits", 405),
        ("POST", "/v2", 405),
    ],
)
@pytest.mark.parametrize("own_port", [True, False])
def test_what_is_not_there(digits: Served, method: str, path: str, status: int, own_port: bool) -> None:
    reply = httpx.request(method, (digits.oip if own_port else digits.api) + path)
    assert reply.status_code == status
    assert set(reply.json()) == {"error"}
    assert reply.headers["x-fdpipe-release"] == digits.release.digest


def test_a_client_is_told(client: InferenceServerClient) -> None:
    with pytest.raises(
        InferenceServerException,
        match=r"\[404\] there is nothing at GET /v2/models/other: this is the model 'digits', version '7'",
    ):
        client.get_model_metadata("other")


@pytest.mark.parametrize("own_port", [True, False])
def test_a_caller_who_waits_no_longer(digits: Served, own_port: bool) -> None:
    url = f"{digits.oip if own_port else digits.api}/v2/models/digits/infer"
    reply = httpx.post(url, json={"inputs": [_tensor()], "parameters": {"timeout": 1}})
    assert reply.status_code in (503, 504)  # refused at once, or when its time is up
    assert list(reply.json()) == ["error"]
    body = {"inputs": [_tensor()], "parameters": {"timeout": 5_000_000}}
    assert httpx.post(url, json=body, headers={"X-Request-Timeout-Ms": "5000"}).status_code == 200
