"""The conformance kit against a running Bento, and against the same one spoiled with one fault at a time."""

import io
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import grpc
import pytest

from fdpipe import open_inference
from fdpipe.arrays import load_arrays, save_arrays
from fdpipe.cli import call
from fdpipe.cli.session import Session
from fdpipe.cli.streams import Streams
from fdpipe.conformance import kit
from fdpipe.conformance.result import Outcome, Verdict
from fdpipe.conformance.subject import Place
from fdpipe.errors import ConfigError, Exit, SourceError
from tests.serving.conftest import Served
from tests.serving.faulty_proxy import TRACE, Exchange, Fault, Proxy, Spoil, right, standing, standing_grpc


def outcomes(verdict: Verdict, outcome: Outcome) -> dict[str, str]:
    return {one.check: one.told for one in verdict.results if one.outcome is outcome}


class TestOurs:
    """The release keeps to everything that it speaks, which is everything."""

    def test_on_either_port_with_golden_rows(self, digits: Served) -> None:
        for url in (digits.api, digits.oip):
            verdict = kit.quick(Place(url=url, golden=digits.release.golden, max_body_bytes=2**20))
            assert verdict.passed, verdict.text
            assert outcomes(verdict, Outcome.SKIPPED) == {
                "unequal-rows": "the model has one input, so that rows cannot differ in number",
                "fraction-for-integer": "no input is of whole numbers",
                "huge-integer": "no input is of signed whole numbers",
            }
            assert f"127.0.0.1:{digits.port + 2}" in outcomes(verdict, Outcome.PASSED)["infer-grpc"]

    def test_columns_and_strings_in_rows_that_are_made_up(self, prices: Served) -> None:
        verdict = kit.quick(Place(url=prices.oip))
        assert verdict.passed, verdict.text
        assert verdict.rows == "made from its metadata, seed 0"
        passed = outcomes(verdict, Outcome.PASSED)
        assert {"unequal-rows", "kserve-v1", "invocations", "bentoml", "infer-binary", "infer-grpc-typed"} <= set(passed)
        assert "body-too-large" in outcomes(verdict, Outcome.SKIPPED)


def reversed_rows(one: Exchange) -> None:
    one.change(lambda data: data[::-1])


def dependent_on_the_batch(one: Exchange) -> None:
    one.change(lambda data: [value + len(data) - 1 for value in data])


def dependent_on_others(one: Exchange) -> None:
    one.change(lambda data: [value + (one.beside > 0) for value in data])


def always_the_first() -> Fault:
    """Of those that come on one connection in one go."""
    first: list[bytes] = []

    def spoil(one: Exchange) -> None:
        if one.infers and not one.agent:
            first.append(one.reply)
            one.reply = first[0]

    return spoil


def trace(one: Exchange) -> None:
    if one.status == 400 and "missing" in one.reply.decode():
        one.status, one.reply = 500, TRACE.encode()


def trace_in_an_error(one: Exchange) -> None:
    if one.status == 404 and one.infers:
        one.reply = json.dumps({"error": TRACE}).encode()


def html(one: Exchange) -> None:
    if one.status == 413:
        one.reply = b"<html>Request Entity Too Large</html>"


def several_lines(one: Exchange) -> None:
    if one.status == 400 and "ragged" in one.reply.decode():
        one.reply = b'{"error": "1 validation error\\n  x must not be ragged"}'


def takes_nan(one: Exchange) -> None:
    if one.infers:
        one.body = one.body.replace(b"NaN", b"0.5")


def takes_any_shape(one: Exchange) -> None:
    """Data that do not fill it are filled up."""
    value = json.loads(one.body) if one.infers and one.body.startswith(b'{"inputs":[{') and one.body.endswith(b"}") else None
    if value and value["inputs"] and value["inputs"][0]["shape"] == [1, 4] and len(value["inputs"][0].get("data", "")) == 3:
        value["inputs"][0]["data"].append(0.0)
        one.body = json.dumps(value).encode()


def other_metadata(one: Exchange) -> None:
    if one.path == "/v2/models/digits":
        one.reply = one.reply.replace(b'"label"', b'"class"')


def unknown_datatype(one: Exchange) -> None:
    if one.path == "/v2/models/digits":
        one.reply = one.reply.replace(b"FP32", b"FLOAT")


def not_ready(one: Exchange) -> None:
    if one.path == "/v2/models/digits/ready":
        one.status = 503


def without_id(one: Exchange) -> None:
    one.reply = re.sub(rb'"id":"[^"]+",', b"", one.reply)


def wrong_bytes(one: Exchange) -> None:
    """The last float's."""
    if one.infers and one.status == 200 and not one.rows:
        one.reply = one.reply[:-4] + b"\0\0\0\0"


def wrong_predictions(one: Exchange) -> None:
    if one.path == "/invocations" and one.status == 200:
        one.reply = json.dumps({"predictions": json.loads(one.reply)["predictions"][:-1]}).encode()


def another_prediction(one: Exchange) -> None:
    if one.path.endswith(":predict") and one.status == 200:
        one.reply = json.dumps({"predictions": [value + 1 for value in json.loads(one.reply)["predictions"]]}).encode()


def pickles(one: Exchange) -> None:
    if one.status >= 400 and "pickle" in one.headers.get("content-type", ""):
        one.status, one.reply = 200, b"{}"


FAULTS: dict[str, tuple[Fault, Fault, set[str]]] = {
    "none": (right, right, set()),
    "the answers are in another order": (right, reversed_rows, {"alone-in-batch", "rows-in-order"}),
    "answers depend on the rows beside them": (right, dependent_on_the_batch, {"alone-in-batch", "rows-in-order"}),
    "answers depend on what others ask": (right, dependent_on_others, {"alone-at-once"}),
    "answers on one connection are mixed up": (right, always_the_first(), {"pipelined-in-order"}),
    "a stack trace and 500": (right, trace, {"missing-input"}),
    "a stack trace in an error": (right, trace_in_an_error, {"unknown-model"}),
    "an error in HTML": (right, html, {"body-too-large"}),
    "an error of several lines": (right, several_lines, {"ragged"}),
    "NaN is taken": (takes_nan, right, {"nan-literal"}),
    "data that do not fill their shape are taken": (takes_any_shape, right, {"unfilled-shape"}),
    "another output is announced": (right, other_metadata, {"metadata-grpc", "answers-described"}),
    "a datatype that there is not": (right, unknown_datatype, {"model-metadata"}),
    "the model says that it is not ready": (right, not_ready, {"health"}),
    "the id is lost": (right, without_id, {"id-returned"}),
    "bytes are others than the JSON": (right, wrong_bytes, {"infer-binary"}),
    "a prediction is lost": (right, wrong_predictions, {"invocations"}),
    "a prediction is another": (right, another_prediction, {"kserve-v1"}),
    "a pickle is taken": (right, pickles, {"bentoml"}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found_by_its_own_check(digits: Served, name: str) -> None:
    before, after, wanted = FAULTS[name]
    with standing(Proxy(digits.oip, before, after)) as url:
        grpc_address = f"127.0.0.1:{digits.port + 2}"
        place = Place(url=url, grpc=grpc_address, golden=digits.release.golden, max_body_bytes=2**20)
        verdict = kit.quick(place)
    assert set(outcomes(verdict, Outcome.VIOLATED)) == wanted, verdict.text
    assert verdict.passed == (not wanted)


def test_an_answer_that_is_wrong_when_it_comes_again(digits: Served) -> None:
    """As a cache would give it that takes one request for another. Only the protocols' checks came before."""

    def spoil(one: Exchange) -> None:
        if one.headers.get("cache-control") == "no-cache":
            one.change(lambda data: [value + 1 for value in data])

    with standing(Proxy(digits.oip, after=spoil)) as url:
        verdict = kit.quick(Place(url=url, golden=digits.release.golden))
    assert set(outcomes(verdict, Outcome.VIOLATED)) == {"alone-again"}


def test_an_answer_that_is_known_to_be_another(digits: Served, prices: Served) -> None:
    with standing(Proxy(digits.oip, after=lambda one: one.change(lambda data: [value + 1 for value in data]))) as url:
        verdict = kit.quick(Place(url=url, golden=digits.release.golden))
    assert {"infer-golden"} <= set(outcomes(verdict, Outcome.VIOLATED))
    assert not verdict.passed


def unknown(method: str, reply: bytes, context: grpc.ServicerContext) -> bytes:
    """As a handler's exception comes out of a gRPC server of Python."""
    if context.code() is grpc.StatusCode.NOT_FOUND:
        context.set_code(grpc.StatusCode.UNKNOWN)
    return reply


def traced(method: str, reply: bytes, context: grpc.ServicerContext) -> bytes:
    if context.code() is grpc.StatusCode.INVALID_ARGUMENT and b"missing" in context.details():
        context.set_details(TRACE)
    return reply


def shifted(method: str, reply: bytes, context: grpc.ServicerContext) -> bytes:
    if method != "ModelInfer" or not reply:
        return reply
    value = open_inference.message("ModelInferResponse").FromString(reply)
    for at, raw in enumerate(value.raw_output_contents):
        value.raw_output_contents[at] = raw[4:] + raw[:4]
    return bytes(value.SerializeToString())


@pytest.mark.parametrize(
    ("spoil", "wanted"),
    [
        (unknown, {"unknown-model-grpc"}),
        (traced, {"missing-input-grpc"}),
        (shifted, {"infer-grpc", "still-answers-grpc"}),
    ],
)
def test_each_fault_over_grpc_is_found_by_its_own_check(digits: Served, spoil: Spoil, wanted: set[str]) -> None:
    with standing_grpc(f"127.0.0.1:{digits.port + 2}", spoil) as address:
        verdict = kit.quick(Place(url=digits.oip, grpc=address, golden=digits.release.golden))
    assert set(outcomes(verdict, Outcome.VIOLATED)) == wanted, verdict.text
    assert "does not have reflection" in outcomes(verdict, Outcome.SKIPPED)["grpc-reflection"]


class Plain(BaseHTTPRequestHandler):
    """Knows nothing."""

    def do_GET(self) -> None:
        self.send_error(404)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def plain() -> Iterator[str]:
    """The URL of a server that speaks HTTP and none of the protocols."""
    with HTTPServer(("127.0.0.1", 0), Plain) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def fdpipe(*words: str) -> tuple[int, str, str]:
    """The exit code and the two streams."""
    out, err = io.StringIO(), io.StringIO()
    code = call(Session(streams=Streams(out, err)), ["conformance", *words])
    return code, out.getvalue(), err.getvalue()


@pytest.mark.usefixtures("home")
class TestCommand:
    """`fdpipe conformance`."""

    def test_a_right_service_under_load(self, digits: Served) -> None:
        code, out, err = fdpipe(digits.api, "--seconds", "0.5", "--max-body-mib", "1")
        assert (code, err) == (Exit.DONE, ""), out
        assert re.search(r"load +passed +closed loop, 4 at a time, for 0.5 s: \d+ a second, p50 \d+", out)
        assert out.splitlines()[-2] == f"{digits.api}, model digits: passed"
        assert re.fullmatch(r"  \d+ passed, 0 violated, \d skipped", out.splitlines()[-1])

    def test_requests_that_fail_under_load(self, digits: Served) -> None:
        def busy(one: Exchange) -> None:
            one.status = 503 if "aiohttp" in one.agent else one.status

        with standing(Proxy(digits.oip, after=busy)) as url:
            code, out, _ = fdpipe(url, "--seconds", "0.3", "--json")
        found = json.loads(out)
        assert code == Exit.REJECTED
        assert not found["passed"]
        violated = {one["check"]: one["told"] for one in found["results"] if one["outcome"] == "violated"}
        assert set(violated) == {"load"}
        assert re.fullmatch(r"(\d+) of \1 requests failed: 503 × \1", violated["load"])

    def test_where_nothing_is_shown_nothing_has_passed(self, plain: str) -> None:
        code, out, _ = fdpipe(plain, "--json", "--seconds", "0")
        found = json.loads(out)
        assert code == Exit.REJECTED
        assert {one["outcome"] for one in found["results"]} == {"skipped"}
        assert "it does not speak the Open Inference Protocol over REST: GET /v2/health/live gives 404" in out
        assert found["verdict"].endswith("nothing was shown: the service gave no answer over any protocol")

    def test_nobody_there(self) -> None:
        code, out, err = fdpipe("http://127.0.0.1:1")
        assert (code, out) == (4, "")
        assert err.startswith("fdpipe: nobody answers at http://127.0.0.1:1: ")
        assert err.count("\n") == 1

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (("127.0.0.1:3000",), "url must be http://HOST:PORT, not '127.0.0.1:3000'"),
            (("http://127.0.0.1",), "url must be http://HOST:PORT"),
            (("http://127.0.0.1:99999",), "url must be http://HOST:PORT"),
            (("http://127.0.0.1:3000/v2",), "url must be http://HOST:PORT"),
            (("http://127.0.0.1:3000", "--grpc", "nowhere"), "grpc must be HOST:PORT, not 'nowhere'"),
            (("http://127.0.0.1:3000", "--header", "secret"), "--header must be NAME:VALUE, not 'secret'"),
        ],
    )
    def test_what_is_no_address(self, words: tuple[str, ...], told: str) -> None:
        code, out, err = fdpipe(*words)
        assert (code, out) == (Exit.CONFIGURATION, "")
        assert told in err
        assert err.count("\n") == 1


def several_models(one: Exchange) -> None:
    if one.path == "/v2/repository/index":
        one.reply = b'[{"name": "digits"}, {"name": "other"}]'


def test_of_several_models_one_is_named(digits: Served) -> None:
    with standing(Proxy(digits.oip, after=several_models)) as url:
        with pytest.raises(ConfigError, match="the service has the models digits, other: name one with --model"):
            kit.quick(Place(url=url))
        checks = [check for check in kit.CHECKS if check.name == "infer-json"]
        assert kit.run(Place(url=url, model="digits"), checks=checks).passed


def test_a_golden_file_that_is_none(digits: Served, tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    path.write_bytes(b"no zip")
    with pytest.raises(ConfigError, match=r"golden\.npz is no file of golden rows"):
        kit.quick(Place(url=digits.oip, golden=path))
    with pytest.raises(SourceError):
        kit.quick(Place(url="http://127.0.0.1:1"))


def test_headers_go_with_every_request(digits: Served) -> None:
    lacking: list[str] = []

    def look(one: Exchange) -> None:
        if one.headers.get("cache-control") is None:
            lacking.append(one.path)

    with standing(Proxy(digits.oip, before=look)) as url:
        assert kit.quick(Place(url=url, headers={"Cache-Control": "max-age=0"})).passed
    assert lacking == []


def test_each_check_has_a_name_of_its_own_and_one_sentence() -> None:
    names = [check.name for check in kit.CHECKS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Z].*[^.]\.", check.shows) for check in kit.CHECKS)


def test_where_answers_depend_on_the_rows_beside_them_none_are_put_together(digits: Served, tmp_path: Path) -> None:
    path, arrays = tmp_path / "golden.npz", load_arrays(digits.release.golden)
    alone = {name: array for name, array in arrays.items() if name.startswith("answer.")}
    together = {name.replace("answer.", "together."): array for name, array in alone.items()}
    save_arrays(path, arrays | together)
    with standing(Proxy(digits.oip, after=dependent_on_the_batch)) as url:
        verdict = kit.quick(Place(url=url, grpc=f"127.0.0.1:{digits.port + 2}", golden=path))
    assert verdict.passed, verdict.text
    assert {"alone-in-batch", "rows-in-order"} <= set(outcomes(verdict, Outcome.SKIPPED))
    assert outcomes(verdict, Outcome.PASSED)["kserve-v1"] == "1 rows, answered as over V2 (label)"
