"""gRPC of a running release, asked by Triton's own client, by plain stubs, and by those who mean no good."""

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import grpc
import ml_dtypes
import numpy as np
import psutil
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput, service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from fdpipe import open_inference, workers
from fdpipe.artifacts import Manifest, TensorSpec, Traffic
from fdpipe.conformance import over_grpc
from fdpipe.serving import codec
from fdpipe.serving.figures import Figures
from fdpipe.serving.grpc_listener import GrpcListener
from fdpipe.serving.oip_grpc import RELEASE, Methods
from fdpipe.serving.predictor import Predictor
from fdpipe.serving.refusal import Refusal
from fdpipe.serving.statuses import PUSHBACK, RETRY_AFTER, Metadata, Vet
from fdpipe.testing import INPUTS, FakeModel, FakeProcessor, FakeRuntime
from tests.contracts import monitor
from tests.serving import tiny
from tests.serving.conftest import Served
from tests.tiny.release import free_triple

T = TypeVar("T")
Code = grpc.StatusCode

ROWS = np.array([[1, 2, 3, 4], [-1, 0.5, 0, 0.1]], np.float32)
RECORDS = {
    tiny.AGE: np.array([30.0, np.nan]),
    tiny.CITY: np.array(["Bern", "Zug"], dtype=object),
    tiny.HEIGHT: np.array([170.5, 180.0]),
}
CELLS = [
    TensorSpec(name=f"{dtype}_{rank}", dtype=dtype, shape=shape) for dtype in tiny.DTYPES for rank, shape in tiny.AXES.items()
]


@pytest.fixture(scope="module")
def client(digits: Served) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(f"127.0.0.1:{digits.port + 2}") as found:
        yield found


@pytest.fixture(scope="module")
def channel(digits: Served) -> Iterator[grpc.Channel]:
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{digits.port + 2}", options=options) as found:
        yield found


def tensor(name: str, array: np.ndarray, datatype: str | None = None) -> InferInput:
    made = InferInput(name, list(array.shape), datatype or codec.datatype_of(array))
    return made.set_data_from_numpy(array)


def request(rows: np.ndarray = ROWS, **more: object) -> service_pb2.ModelInferRequest:
    made = service_pb2.ModelInferRequest(model_name="digits", raw_input_contents=[rows.tobytes()], **more)
    made.inputs.add(name="x", datatype="FP32", shape=rows.shape)
    return made


def infer(channel: grpc.Channel, made: service_pb2.ModelInferRequest, **more: object) -> service_pb2.ModelInferResponse:
    return service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(made, **more)


def workers_of(served: Served) -> set[int]:
    return {child.pid for child in psutil.Process(served.master).children(recursive=True)}


def test_metadata(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("digits")
    assert client.is_model_ready("digits", "7")
    assert client.get_server_metadata().name == "fdpipe"
    assert client.get_model_metadata("digits", "7", as_json=True) == {
        "name": "digits",
        "versions": ["7"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": ["-1", "4"]}],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": ["-1"]},
            {"name": "probabilities", "datatype": "FP32", "shape": ["-1", "3"]},
        ],
    }


@pytest.mark.parametrize("name", ["label", "probabilities", None])
def test_infer(client: InferenceServerClient, digits: Served, name: str | None) -> None:
    known = tiny.asked_directly(digits.pieces, {"x": ROWS})
    outputs = None if name is None else [InferRequestedOutput(name)]
    reply = client.infer("digits", [tensor("x", ROWS)], outputs=outputs, request_id="r1")
    assert reply.get_response().id == "r1"
    assert reply.get_response().model_version == "7"
    for one, array in known.items():
        if name in (None, one):
            np.testing.assert_array_equal(reply.as_numpy(one), array)
        else:
            assert reply.as_numpy(one) is None


def test_every_datatype_and_rank(echo: Served) -> None:
    records = {spec.name: tiny.anything(np.random.default_rng(4), spec, 2) for spec in CELLS}
    with InferenceServerClient(f"127.0.0.1:{echo.port + 2}") as client:
        reply = client.infer("echo", [tensor(name, array) for name, array in records.items()])
    for name, array in records.items():
        found = reply.as_numpy(f"{name}_out")
        if array.dtype == object:
            found = np.array([one.decode() for one in found.ravel()], dtype=object).reshape(found.shape)
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array, err_msg=name)


def test_the_proofs_own_client(echo: Served) -> None:
    records = {spec.name: tiny.anything(np.random.default_rng(5), spec, 2) for spec in CELLS}
    found = over_grpc.infer(f"127.0.0.1:{echo.port + 2}", "echo", records, 20)
    for name, array in records.items():
        np.testing.assert_array_equal(found[f"{name}_out"], array, err_msg=name)
    with pytest.raises(ValueError, match="status NOT_FOUND: there is no model 'other'"):
        over_grpc.infer(f"127.0.0.1:{echo.port + 2}", "other", records, 20)


def test_brain_floats(client: InferenceServerClient) -> None:
    """For an input of FP32."""
    exact = np.array([[1, 2, 3, 4]], np.float32)
    sent = (tensor("x", exact.astype(ml_dtypes.bfloat16), "BF16"), tensor("x", exact))
    one, other = (client.infer("digits", [one]) for one in sent)
    np.testing.assert_array_equal(one.as_numpy("probabilities"), other.as_numpy("probabilities"))


@pytest.mark.parametrize("two_axes", [True, False])
def test_columns(prices: Served, two_axes: bool) -> None:
    known = tiny.asked_directly(prices.pieces, RECORDS)["value"]
    arrays = {name: array.reshape(-1, 1) if two_axes else array for name, array in RECORDS.items()}
    with InferenceServerClient(f"127.0.0.1:{prices.port + 2}") as client:
        reply = client.infer("prices", [tensor(name, array) for name, array in arrays.items()])
    np.testing.assert_array_equal(reply.as_numpy("value"), known)


def test_typed_contents(digits: Served, prices: Served, channel: grpc.Channel) -> None:
    """Typed in, typed out."""
    made = service_pb2.ModelInferRequest(model_name="digits")
    made.inputs.add(name="x", datatype="FP32", shape=[2, 4]).contents.fp32_contents.extend(ROWS.ravel().tolist())
    reply = infer(channel, made)
    known = tiny.asked_directly(digits.pieces, {"x": ROWS})
    assert not reply.raw_output_contents
    assert list(reply.outputs[0].contents.int64_contents) == known["label"].tolist()
    assert list(reply.outputs[1].contents.fp32_contents) == known["probabilities"].ravel().tolist()
    made = service_pb2.ModelInferRequest(model_name="prices")
    for name, array in RECORDS.items():
        contents = made.inputs.add(name=name, datatype=codec.datatype_of(array), shape=[2]).contents
        if name == tiny.CITY:
            contents.bytes_contents.extend(one.encode() for one in array)
        else:
            contents.fp64_contents.extend(array.tolist())
    with grpc.insecure_channel(f"127.0.0.1:{prices.port + 2}") as other:
        reply = infer(other, made)
    known = tiny.asked_directly(prices.pieces, RECORDS)
    np.testing.assert_array_equal(np.array(reply.outputs[0].contents.fp32_contents, np.float32), known["value"])


def test_the_release_is_named(digits: Served, channel: grpc.Channel) -> None:
    _, call = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer.with_call(request())
    assert (RELEASE, digits.release.digest) in call.trailing_metadata()
    with pytest.raises(grpc.RpcError) as found:
        infer(channel, request(model_version="8"))
    assert (RELEASE, digits.release.digest) in found.value.trailing_metadata()


def test_it_is_counted(digits: Served, channel: grpc.Channel) -> None:
    def counted() -> float:
        return sum(figure for name, figure in digits.metrics().items() if "_total" in name and 'protocol="oip_grpc"' in name)

    before = counted()
    for _ in range(5):
        infer(channel, request())
    for _ in range(100):
        if counted() >= before + 5:
            break
        threading.Event().wait(0.05)
    assert counted() >= before + 5


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda client: client.infer("other", [tensor("x", ROWS)]), "NOT_FOUND] there is no model 'other': this is 'digits'"),
        (lambda client: client.infer("digits", [tensor("x", ROWS)], model_version="8"), "NOT_FOUND]"),
        (lambda client: client.is_model_ready("other"), "NOT_FOUND]"),
        (lambda client: client.get_model_metadata("digits", "8"), "NOT_FOUND]"),
        (lambda client: client.infer("digits", [tensor("x", ROWS[:, :3])]), r"INVALID_ARGUMENT] input 'x' has shape \[2, 3\]"),
        (lambda client: client.infer("digits", [tensor("x", ROWS.astype(np.int64))]), "INVALID_ARGUMENT] .*datatype 'INT64'"),
        (lambda client: client.infer("digits", [tensor("y", ROWS)]), "INVALID_ARGUMENT] there is no input 'y'"),
        (lambda client: client.get_model_config("digits"), "UNIMPLEMENTED] ModelConfig is not offered by this service"),
        (lambda client: client.get_inference_statistics("digits"), "UNIMPLEMENTED] ModelStatistics is not offered"),
        (lambda client: client.load_model("digits"), "UNIMPLEMENTED] RepositoryModelLoad is not offered"),
        (lambda client: client.register_system_shared_memory("a", "/a", 4), "UNIMPLEMENTED]"),
    ],
)
def test_refused(client: InferenceServerClient, ask: Callable[[InferenceServerClient], object], told: str) -> None:
    with pytest.raises(InferenceServerException, match=told) as found:
        ask(client)
    assert "\n" not in str(found.value)
    assert "Traceback" not in str(found.value)


def test_streams_are_refused(channel: grpc.Channel) -> None:
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    with pytest.raises(grpc.RpcError) as found:
        list(stub.ModelStreamInfer(iter([request()])))
    assert (found.value.code(), found.value.details().partition(":")[0]) == (
        Code.UNIMPLEMENTED,
        "ModelStreamInfer is not offered by this service",
    )


def test_health(digits: Served, channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    for name in ("", open_inference.SERVICE, "digits"):
        assert stub.Check(health_pb2.HealthCheckRequest(service=name)).status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as found:
        stub.Check(health_pb2.HealthCheckRequest(service="other"))
    assert found.value.code() == Code.NOT_FOUND
    assert set(stub.List(health_pb2.HealthListRequest()).statuses) == {"", open_inference.SERVICE, "digits"}
    watched = stub.Watch(health_pb2.HealthCheckRequest(service="digits"))
    assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
    watched.cancel()


def test_reflection(channel: grpc.Channel) -> None:
    """As grpcurl does: what there is, then how to ask it, from the descriptions alone."""
    found = ProtoReflectionDescriptorDatabase(channel)
    names = set(found.get_services())
    assert names == {open_inference.SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    pool = DescriptorPool(found)
    assert [one.name for one in pool.FindServiceByName(open_inference.SERVICE).methods] == list(open_inference.METHODS)
    for name in names:
        assert pool.FindServiceByName(name).methods


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_messages_are_refused(channel: grpc.Channel, compression: grpc.Compression) -> None:
    """A small one may unpack to far more than the limit."""
    bomb = request(np.zeros((4_000_000, 4), np.float32))
    with pytest.raises(grpc.RpcError) as found:
        infer(channel, bomb, compression=compression)
    assert found.value.code() == Code.UNIMPLEMENTED, found.value.details()


def test_large_messages_are_refused(digits: Served, channel: grpc.Channel) -> None:
    before = workers_of(digits)
    with pytest.raises(grpc.RpcError) as found:
        infer(channel, request(np.zeros((70_000, 4), np.float32)))
    assert found.value.code() == Code.RESOURCE_EXHAUSTED
    assert len(infer(channel, request(np.zeros((60_000, 4), np.float32))).raw_output_contents) == 2
    assert workers_of(digits) == before


def test_random_messages(digits: Served, channel: grpc.Channel) -> None:
    """To each method: refused, or answered where the bytes happen to be a message; nothing else is disturbed."""
    before = workers_of(digits)
    rng = random.Random(6)
    sound = request().SerializeToString()
    calls = [channel.unary_unary(f"/{open_inference.SERVICE}/{method}") for method in (*open_inference.METHODS, "ModelConfig")]
    codes: set[grpc.StatusCode] = set()
    for _ in range(500):
        raw = bytearray(sound if rng.random() < 0.5 else rng.randbytes(rng.randrange(200)))
        for _ in range(rng.randrange(4) if raw else 0):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        try:
            rng.choice(calls)(bytes(raw))
        except grpc.RpcError as error:
            codes.add(error.code())
    assert codes == {Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.UNIMPLEMENTED}
    assert infer(channel, request()).outputs
    assert workers_of(digits) == before


def test_those_who_cancel_disturb_nobody(digits: Served, channel: grpc.Channel) -> None:
    before = workers_of(digits)
    known = tiny.asked_directly(digits.pieces, {"x": ROWS})["probabilities"].tobytes()
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)

    def storm(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(100):
            call = stub.ModelInfer.future(request(np.full((rng.randrange(1, 9), 4), seed, np.float32)))
            if rng.random() < 0.5:
                threading.Event().wait(rng.random() / 500)
            call.cancel()

    with ThreadPoolExecutor(4) as pool:
        storms = [pool.submit(storm, seed) for seed in range(3)]
        while not all(one.done() for one in storms):
            assert infer(channel, request(), timeout=20).raw_output_contents[1] == known
        for one in storms:
            one.result()
    assert infer(channel, request(), timeout=20).raw_output_contents[1] == known
    assert workers_of(digits) == before


def test_many_at_once_have_each_its_own_answer(digits: Served, channel: grpc.Channel) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 1, 4)).astype(np.float32)
    known = tiny.asked_directly(digits.pieces, {"x": rows[:, 0]})["probabilities"]
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    calls = [stub.ModelInfer.future(request(one)) for one in rows]
    found = [np.frombuffer(call.result().raw_output_contents[1], np.float32) for call in calls]
    np.testing.assert_array_equal(np.stack(found), known)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Of the fake model."""
    path = tmp_path / "model.onnx"
    FakeModel().save(path)
    return replace(
        monitor.RELEASE,
        artifact=replace(monitor.RELEASE.artifact, path=path),
        processor=workers.spec("processor", FakeProcessor()),
        runtime=workers.spec("runtime", FakeRuntime()),
        inputs=INPUTS,
        answers=(TensorSpec(name="probabilities", dtype="float32", shape=("rows", 3)),),
    )


def beside(manifest: Manifest, work: Callable[[grpc.aio.Channel], Awaitable[T]], vet: Vet | None = None) -> T:
    """What `work` comes to while a server runs on the same event loop."""

    async def run() -> T:
        predictor = Predictor(manifest)
        predictor.open()
        listener = GrpcListener(Methods(predictor, Figures([]), vet), manifest)
        port = free_triple()
        await listener.start("127.0.0.1", port)
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                return await work(channel)
        finally:
            await listener.stop()
            predictor.close()

    return asyncio.run(run())


async def asked(channel: grpc.aio.Channel, **more: object) -> grpc.aio.AioRpcError:
    """The error of a request."""
    made = request(ROWS[:1])
    made.model_name = "tiny"
    with pytest.raises(grpc.aio.AioRpcError) as found:
        await service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(made, **more)
    return found.value


def test_overload_says_when_to_ask_again(manifest: Manifest) -> None:
    error = beside(replace(manifest, traffic=Traffic(max_waiting=0)), asked)
    assert error.code() == Code.UNAVAILABLE
    told = dict(error.trailing_metadata())
    assert int(told[RETRY_AFTER]) >= 1
    assert int(told[PUSHBACK]) >= 0


def test_the_service_has_its_own_limit(manifest: Manifest) -> None:
    FakeModel(microseconds=400_000).save(manifest.artifact.path)
    assert beside(replace(manifest, timeout_s=0.2), asked).code() == Code.DEADLINE_EXCEEDED


def test_the_callers_limit(manifest: Manifest) -> None:
    FakeModel(microseconds=400_000).save(manifest.artifact.path)

    async def work(channel: grpc.aio.Channel) -> grpc.aio.AioRpcError:
        return await asked(channel, timeout=0.2)

    assert beside(replace(manifest, timeout_s=60.0), work).code() == Code.DEADLINE_EXCEEDED


def test_a_defect_is_told_in_one_line(manifest: Manifest, caplog: pytest.LogCaptureFixture) -> None:
    """What nobody foresaw, here in who vets requests."""

    def vet(metadata: Metadata) -> None:
        raise ZeroDivisionError("secret")

    error = beside(manifest, asked, vet)
    assert (error.code(), error.details()) == (
        Code.INTERNAL,
        "the request could not be answered: the service's log has the reason",
    )
    assert "secret" in caplog.text


def test_who_is_not_admitted(manifest: Manifest) -> None:
    def vet(metadata: Metadata) -> None:
        if dict(metadata).get("authorization") != "Bearer key":
            raise Refusal("no key", status=401, kind="unauthenticated")

    async def work(channel: grpc.aio.Channel) -> grpc.StatusCode:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert (await stub.ServerLive(service_pb2.ServerLiveRequest())).live
        await stub.ServerMetadata(service_pb2.ServerMetadataRequest(), metadata=(("authorization", "Bearer key"),))
        with pytest.raises(grpc.aio.AioRpcError) as found:
            await stub.ServerMetadata(service_pb2.ServerMetadataRequest())
        assert found.value.code() == Code.UNAUTHENTICATED
        return (await asked(channel)).code()

    assert beside(manifest, work, vet) == Code.UNAUTHENTICATED


@pytest.mark.parametrize("method", ["ModelInfer", "ModelReady", "ServerMetadata"])
def test_who_has_no_key_is_refused_before_the_message_is_read(manifest: Manifest, method: str) -> None:
    def vet(metadata: Metadata) -> None:
        raise Refusal("no key", status=401, kind="unauthenticated")

    async def work(channel: grpc.aio.Channel) -> grpc.StatusCode:
        return await channel.stream_unary(f"/{open_inference.SERVICE}/{method}")(timeout=20).code()

    assert beside(replace(manifest, timeout_s=60.0), work, vet) == Code.UNAUTHENTICATED


def test_overload_is_told_before_the_message_is_read(manifest: Manifest) -> None:
    async def work(channel: grpc.aio.Channel) -> grpc.StatusCode:
        return await channel.stream_unary(f"/{open_inference.SERVICE}/ModelInfer")(timeout=20).code()

    assert beside(replace(manifest, timeout_s=60.0, traffic=Traffic(max_waiting=0)), work) == Code.UNAVAILABLE


@pytest.mark.parametrize(
    "method",
    [
        *(f"{open_inference.SERVICE}/{one}" for one in open_inference.METHODS),
        "grpc.health.v1.Health/Check",
        "grpc.health.v1.Health/Watch",
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ],
)
def test_a_message_that_does_not_come_is_not_waited_for(manifest: Manifest, method: str) -> None:
    async def work(channel: grpc.aio.Channel) -> tuple[grpc.StatusCode, str]:
        call = channel.stream_stream(f"/{method}")(timeout=20)
        return await call.code(), await call.details()

    found = beside(replace(manifest, timeout_s=0.2), work)
    assert found == (Code.DEADLINE_EXCEEDED, "the message did not come within 0.2 s")


def test_a_caller_who_sends_no_message(manifest: Manifest) -> None:
    async def work(channel: grpc.aio.Channel) -> tuple[grpc.StatusCode, str]:
        call = channel.stream_unary(f"/{open_inference.SERVICE}/ModelInfer")(timeout=20)
        await call.done_writing()
        return await call.code(), await call.details()

    assert beside(manifest, work) == (Code.INVALID_ARGUMENT, "no message came")


def test_who_watches_learns_of_the_end(manifest: Manifest) -> None:
    async def run() -> list[int]:
        listener = GrpcListener(Methods(Predictor(manifest), Figures([])), replace(manifest, timeout_s=60.0))
        port = free_triple()
        await listener.start("127.0.0.1", port)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            watched = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            first = await watched.read()
            await listener.stop()
            return [first.status, (await watched.read()).status]

    assert asyncio.run(run()) == [health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING]


def test_a_taken_port_is_noticed(manifest: Manifest, digits: Served) -> None:
    listener = GrpcListener(Methods(Predictor(manifest), Figures([])), manifest)
    with pytest.raises(OSError, match="address already in use"):
        asyncio.run(listener.start("127.0.0.1", digits.port))
