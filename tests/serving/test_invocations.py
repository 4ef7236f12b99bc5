"""MLflow's scoring protocol against running Bentos: by hand, by MLflow's own client, and as MLflow's own server answers."""

import base64
import json
import warnings
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from fdpipe.serving.invocations import told
from fdpipe.serving.refusal import Refusal
from tests.serving import raw, tiny
from tests.serving.conftest import Served

TABLE = pd.DataFrame({tiny.AGE: [30.0, np.nan], tiny.CITY: ["Zug", "Bern"], tiny.HEIGHT: [170.0, 150.5]})
VALUES = [230.0, 160.5]


def invoke(served: Served, body: object, kind: str | None = "application/json") -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(f"{served.oip}/invocations", content=content, headers={"content-type": kind} if kind else {})


def split(table: pd.DataFrame) -> dict[str, Any]:
    """As pandas writes JSON, in which what is missing is null."""
    found: dict[str, Any] = json.loads(table.to_json(orient="split"))
    return found


def test_it_lives(digits: Served) -> None:
    for address in (digits.api, digits.oip):
        for path in ("/ping", "/health"):
            found = httpx.get(f"{address}{path}")
            assert (found.status_code, found.content) == (200, b"\n")
        assert httpx.get(f"{address}/version").text


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": split(TABLE)},
        {"dataframe_split": split(TABLE.iloc[:, ::-1])},
        {"dataframe_records": json.loads(TABLE.to_json(orient="records"))},
        {"instances": json.loads(TABLE.to_json(orient="records"))},
        {"inputs": json.loads(TABLE.to_json(orient="records"))},
        {"inputs": json.loads(TABLE.to_json(orient="columns")), "params": {}},
    ],
)
def test_columns(prices: Served, body: dict[str, Any]) -> None:
    if "params" in body:
        body = body | {"inputs": {name: list(column.values()) for name, column in body["inputs"].items()}}
    found = invoke(prices, body)
    assert (found.status_code, found.json()) == (200, {"predictions": VALUES})


def test_tensors(digits: Served) -> None:
    x = np.random.default_rng(5).normal(size=(6, 4)).astype(np.float32)
    expected = {"predictions": tiny.asked_directly(digits.pieces, {"x": x})["label"].tolist()}
    frame = pd.DataFrame(x)
    bodies: list[dict[str, Any]] = [
        {"inputs": x.tolist()},
        {"inputs": {"x": x.tolist()}},
        {"instances": x.tolist()},
        {"dataframe_split": split(frame)},
        {"dataframe_records": json.loads(frame.to_json(orient="records"))},
    ]
    for body in bodies:
        found = invoke(digits, body)
        assert (found.status_code, found.json()) == (200, expected), list(body)


def test_comma_separated_values(prices: Served, digits: Served) -> None:
    for kind in ("text/csv", "Text/CSV; charset=UTF-8"):
        assert invoke(prices, TABLE.to_csv(index=False).encode(), kind).json() == {"predictions": VALUES}
    x = pd.DataFrame(np.eye(4, dtype=np.float32))
    expected = tiny.asked_directly(digits.pieces, {"x": x.to_numpy()})["label"].tolist()
    assert invoke(digits, x.to_csv(index=False).encode(), "text/csv").json() == {"predictions": expected}


@pytest.mark.parametrize(
    ("colour", "format"), [("red", "PNG"), ("green", "JPEG"), ("blue", "BMP"), ("red", "GIF"), ("blue", "TIFF")]
)
def test_an_image_is_a_body(pictures: Served, colour: str, format: str) -> None:
    content = raw.picture(colour, format=format)
    (found,) = invoke(pictures, content, f"image/{format.lower()}").json()["predictions"]
    assert found["label"] == colour
    text = base64.b64encode(content).decode()
    for body in ({"inputs": [text]}, {"inputs": text}, {"dataframe_split": {"columns": ["image"], "data": [[text]]}}):
        assert invoke(pictures, body).json()["predictions"] == [found]


def test_a_text_is_a_body(sentences: Served) -> None:
    (found,) = invoke(sentences, b"sun and Sun", "text/plain; charset=utf-8").json()["predictions"]
    assert (found["label"], round(found["score"], 4)) == ("glad", 0.8808)
    assert invoke(sentences, {"inputs": ["sun and sun", "rain"]}).json()["predictions"][0] == found
    assert invoke(sentences, {"inputs": "sun and sun"}).json()["predictions"] == [found]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "the body is no JSON object with one of dataframe_split, dataframe_records, instances, inputs"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"inputs":[[Infinity,1,1,1]]}', "malformed"),
        (b'{"inputs":[[1,1,1,"NaN"]]}', "got `str`"),
        (b'{"inputs":' + b"[" * 100_000, "no JSON object"),
        ({}, "just one of dataframe_split, dataframe_records, instances, inputs, it has none"),
        ({"inputs": [[1, 2, 3, 4]], "instances": [[1, 2, 3, 4]]}, "it has instances and inputs"),
        ({"inputs": [[1, 2, 3, 4]], "params": {"top_k": 1}}, "this model has no parameter 'top_k'"),
        ({"inputs": [[1, 2, 3, 4]], "columns": []}, "unknown field `columns`"),
        ({"messages": [{"role": "user", "content": "hello"}]}, "unknown field `messages`"),
        ({"dataframe_split": {"columns": ["0"]}}, "missing required field `data`"),
        ({"dataframe_split": {"columns": [0, 1, 2], "data": [[1, 2, 3]]}}, "the model takes [-1, 4]"),
        ({"dataframe_split": {"columns": [0, 1, 2, 3], "data": []}}, "data has the shape [0], there are 4 columns"),
        ({"dataframe_records": []}, "the inputs have no rows"),
        ({"dataframe_records": {"x": [1]}}, "dataframe_records cannot be read as rows and columns"),
    ],
)
def test_refused(digits: Served, body: object, told: str) -> None:
    found = invoke(digits, body)
    assert found.status_code == 400
    assert found.json()["error_code"] == "BAD_REQUEST"
    assert told in found.json()["message"]
    assert "\n" not in found.json()["message"]


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("application/x-www-form-urlencoded", "this model takes application/json, text/csv"),
        ("application/vnd.apache.parquet", "this model takes application/json, text/csv"),
        ("image/png", "this model takes application/json, text/csv"),
        ("text/plain", "this model takes application/json, text/csv"),
        ("application/json; charset=latin-1", "it must be utf-8"),
        ("application/x-python-pickle", "pickled bodies are refused"),
    ],
)
def test_refused_kinds(digits: Served, kind: str, told: str) -> None:
    found = invoke(digits, {"inputs": [[1, 2, 3, 4]]}, kind)
    assert found.status_code == 415
    assert told in found.json()["message"]


def test_refused_images_and_texts(pictures: Served, sentences: Served) -> None:
    for body in (b"", b"no image", raw.picture("red")[:40]):
        assert invoke(pictures, body, "image/png").status_code == 400
    assert "image/png" in invoke(pictures, b"red", "text/plain").json()["message"]
    found = invoke(sentences, b"\xff", "text/plain")
    assert (found.status_code, found.json()["message"][:21]) == (400, "the body is no UTF-8:")


def test_a_body_that_is_too_large_is_told_in_the_same_form(digits: Served) -> None:
    found = invoke(digits, b" " * (2**20 + 1))
    assert (found.status_code, list(found.json())) == (413, ["error_code", "message"])


def test_errors_have_mlflows_codes() -> None:
    for status, code in ((503, "TEMPORARILY_UNAVAILABLE"), (429, "REQUEST_LIMIT_EXCEEDED"), (413, "BAD_REQUEST")):
        reply = told(Refusal("later", status=status, retry_after_s=3))
        assert json.loads(reply.body) == {"error_code": code, "message": "later"}
        assert (reply.status, (b"retry-after", b"3") in reply.headers) == (status, True)


def test_mlflows_client(prices: Served, digits: Served) -> None:
    client_module = pytest.importorskip("mlflow.pyfunc.scoring_server.client", reason="MLflow's own client")
    client = client_module.ScoringServerClient("127.0.0.1", prices.port + 1)
    client.ping()
    client.wait_server_ready(timeout=5)
    assert client.get_version()
    assert client.invoke(TABLE)["predictions"] == VALUES
    x = np.eye(4)
    expected = tiny.asked_directly(digits.pieces, {"x": x.astype(np.float32)})["label"].tolist()
    tensors = client_module.ScoringServerClient("127.0.0.1", digits.port + 1)
    assert tensors.invoke(x)["predictions"] == expected
    assert tensors.invoke(pd.DataFrame(x))["predictions"] == expected
    with pytest.raises(Exception, match=r"400.*BAD_REQUEST"):
        tensors.invoke(np.eye(3))


@pytest.mark.parametrize("form", ["frame", "records", "columns", "array"])
def test_examples_that_mlflow_makes_are_taken(prices: Served, digits: Served, form: str) -> None:
    """`mlflow.models.convert_input_example_to_serving_input`, which writes serving_input_example.json into a model."""
    models = pytest.importorskip("mlflow.models", reason="MLflow's own writer of examples")
    if form == "array":
        payload = models.convert_input_example_to_serving_input(np.eye(4, dtype=np.float32))
        assert len(invoke(digits, payload.encode()).json()["predictions"]) == 4
        return
    example: Any = {
        "frame": TABLE,
        "records": [
            {tiny.AGE: 30.0, tiny.CITY: "Zug", tiny.HEIGHT: 170.0},
            {tiny.AGE: 20.5, tiny.CITY: "Zug", tiny.HEIGHT: 110.0},
        ],
        "columns": {name: TABLE[name].to_numpy()[:1] for name in TABLE},
    }[form]
    payload = models.convert_input_example_to_serving_input(example)
    assert invoke(prices, payload.encode()).json()["predictions"][0] == VALUES[0]


@pytest.mark.parametrize(
    ("kind", "answer"), [("classifier", "label"), ("names", "label"), ("regressor", "value"), ("transform", "components")]
)
def test_predictions_have_the_form_that_mlflow_gives(kind: str, answer: str, tmp_path: Path) -> None:
    """MLflow's server, in this process, asked with a scikit-learn model of that kind."""
    mlflow = pytest.importorskip("mlflow", reason="MLflow's own server")
    from mlflow.pyfunc import scoring_server
    from sklearn.linear_model import LinearRegression, LogisticRegression

    from fdpipe.processor.none import Plain
    from fdpipe.serving.predictions import Predictions

    x = np.random.default_rng(7).normal(size=(30, 3))
    target = {
        "classifier": x[:, 0] > 0,
        "names": np.where(x[:, 0] > 0, "good", "bad"),
        "regressor": x @ [1, 2, 3.0],
        "transform": x,
    }
    model = (LinearRegression if kind in ("regressor", "transform") else LogisticRegression)().fit(x, target[kind])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(model, tmp_path / "model", pip_requirements=[], serialization_format="cloudpickle")
        pyfunc = mlflow.pyfunc.load_model(str(tmp_path / "model"))
        theirs = scoring_server.invocations(json.dumps({"inputs": x.tolist()}), "application/json", pyfunc, None)
    answers = {answer: model.predict(x)}
    answers |= {"probabilities": model.predict_proba(x)} if answer == "label" else {}
    assert {"predictions": Predictions(Plain()).of(answers)} == json.loads(theirs.response)


def test_a_missing_number_may_be_nan_and_a_text_may_say_so(prices: Served) -> None:
    row = b'{"dataframe_split":{"columns":["age","city","height (cm)"],"data":[[NaN,"say \\"NaN\\" NaN",1.5]]}}'
    assert invoke(prices, row).json() == {"predictions": [1.5]}
    assert invoke(prices, row.replace(b"1.5", b"-NaN")).status_code == 400


@pytest.mark.slow
def test_texts_have_the_form_that_mlflow_gives(tmp_path: Path) -> None:
    """MLflow's server with a classifier of transformers, and our processor with the labels and probabilities that it found."""
    mlflow = pytest.importorskip("mlflow", reason="MLflow's own server")
    pytest.importorskip("transformers", reason="MLflow's server asks its pipeline")
    from mlflow.pyfunc import scoring_server

    from fdpipe.processor.text import Text
    from fdpipe.serving.predictions import Predictions
    from tests.pretrained_models import bert, saved, tokenizer

    labels = {"id2label": {0: "bad", 1: "good"}, "label2id": {"bad": 0, "good": 1}}
    model = saved(
        tmp_path / "model", "text-classification", bert("ForSequenceClassification", **labels), {"tokenizer": tokenizer()}
    )
    pyfunc = mlflow.pyfunc.load_model(str(model.path))
    schema = pyfunc.metadata.get_input_schema()
    for body in (
        {"inputs": ["the cat sat", "on the river"]},
        {"dataframe_split": {"columns": ["text"], "data": [["the cat"]]}},
    ):
        theirs = json.loads(scoring_server.invocations(json.dumps(body), "application/json", pyfunc, schema).response)
        found, best = zip(*((row["label"], row["score"]) for row in theirs["predictions"]), strict=True)
        answers = {"label": np.array(found), "probabilities": np.stack([best, 1 - np.array(best)], axis=1)}
        assert {"predictions": Predictions(Text()).of(answers)} == theirs
