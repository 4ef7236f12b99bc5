"""A request and a reply over gRPC, from bytes to arrays and back."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2
from tritonclient.grpc import service_pb2

from fdpipe import open_inference
from fdpipe.artifacts import ModelRef, TensorSpec
from fdpipe.serving import codec, contents
from fdpipe.serving.oip_grpc_reply import Writer
from fdpipe.serving.oip_grpc_request import Question, Reader, taken_apart
from fdpipe.serving.refusal import Refusal
from tests.serving import tiny

MODEL = ModelRef(name="tiny", version="3", uri="models:/tiny/3", digest="0" * 64)
INPUTS = (TensorSpec(name="a", dtype="float32", shape=("rows", 2)), TensorSpec(name="b", dtype="float64", shape=("rows",)))
ANSWERS = (TensorSpec(name="y", dtype="float32", shape=("rows",)), TensorSpec(name="half", dtype="float16", shape=("rows",)))
A = np.array([[1, 2], [3, 4]], np.float32)
B = np.array([5.0, 6.0])


@pytest.fixture
def reader() -> Reader:
    return Reader(MODEL, INPUTS, ANSWERS)


def request(*, raw: bool = True, **more: object) -> service_pb2.ModelInferRequest:
    """Of Triton's own messages: `A` and `B`, in the other order than the model's."""
    made = service_pb2.ModelInferRequest(model_name="tiny", **more)
    for name, array in (("b", B), ("a", A)):
        tensor = made.inputs.add(name=name, datatype=codec.datatype_of(array), shape=array.shape)
        if raw:
            made.raw_input_contents.append(array.tobytes())
        else:
            getattr(tensor.contents, contents.FIELDS[tensor.datatype]).extend(array.ravel().tolist())
    return made


def read(reader: Reader, made: service_pb2.ModelInferRequest) -> tuple[Question, dict[str, np.ndarray]]:
    return reader.read(made.SerializeToString())


def test_the_messages_are_those_of_the_proto(tmp_path: Path) -> None:
    protoc = pytest.importorskip("grpc_tools.protoc", reason="protobuf's compiler is not installed: pip install grpcio-tools")
    folder, found = Path(open_inference.__file__).parent / "serving", tmp_path / "found"
    assert protoc.main(["", f"-I{folder}", f"--descriptor_set_out={found}", open_inference.FILE]) == 0
    (file,) = descriptor_pb2.FileDescriptorSet.FromString(found.read_bytes()).file
    assert file == open_inference.described()


@pytest.mark.parametrize("name", [f"{method}{part}" for method in open_inference.METHODS for part in ("Request", "Response")])
def test_the_messages_are_tritons(name: str) -> None:
    own, triton = open_inference.message(name).DESCRIPTOR, service_pb2.DESCRIPTOR.message_types_by_name[name]
    found = [{(one.name, one.number, one.type, one.is_repeated) for one in form.fields} for form in (own, triton)]
    assert found[0] == found[1]


@pytest.mark.parametrize("raw", [True, False])
def test_arrays_are_in_the_models_order(reader: Reader, raw: bool) -> None:
    for _ in range(2):
        question, arrays = read(reader, request(raw=raw))
        assert question == Question(id="", timeout_us=0, outputs=("y", "half"), as_bytes=True)
        assert list(arrays) == ["a", "b"]
        np.testing.assert_array_equal(arrays["a"], A)
        np.testing.assert_array_equal(arrays["b"], B)


def test_what_is_kept_is_not_taken_for_another(reader: Reader) -> None:
    """Messages that differ in their bytes only, then in how many there are."""
    first = request()
    read(reader, first)
    first.raw_input_contents[1] = (2 * A).tobytes()
    np.testing.assert_array_equal(read(reader, first)[1]["a"], 2 * A)
    first.raw_input_contents[1] = A.tobytes()[:-4]
    with pytest.raises(Refusal, match="do not fill its shape"):
        read(reader, first)
    del first.raw_input_contents[1]
    with pytest.raises(Refusal, match="1 pieces for 2 inputs"):
        read(reader, first)


def test_bytes_are_not_copied(reader: Reader) -> None:
    for length in range(8):  # of the version, so that the bytes begin at different places
        made = request()
        made.inputs[0].parameters["unknown"].string_param = "x" * length
        raw = made.SerializeToString()
        whole = np.frombuffer(raw, np.uint8)
        for _ in range(2):
            _, arrays = reader.read(raw)
            for name, one in arrays.items():
                starts = raw.index({"a": A, "b": B}[name].tobytes())
                assert one.flags.aligned
                assert np.shares_memory(whole, one) == ((whole.ctypes.data + starts) % one.itemsize == 0)


def test_brain_floats(reader: Reader) -> None:
    made = request()
    made.inputs[1].datatype = "BF16"
    made.raw_input_contents[1] = (A.view(np.uint32) >> 16).astype("<u2").tobytes()
    for _ in range(2):
        np.testing.assert_array_equal(read(reader, made)[1]["a"], A)


@pytest.mark.parametrize("seed", range(20))
def test_taken_apart_is_what_protobuf_reads(seed: int) -> None:
    """Fields in any order, as protobuf allows."""
    rng = random.Random(seed)
    parts = [request(id="r" * seed), service_pb2.ModelInferRequest(raw_input_contents=[rng.randbytes(rng.randrange(40000))])]
    parts += [service_pb2.ModelInferRequest(outputs=[service_pb2.ModelInferRequest.InferRequestedOutputTensor(name="y")])]
    rng.shuffle(parts)
    raw = b"".join(one.SerializeToString() for one in parts)
    whole = service_pb2.ModelInferRequest.FromString(raw)
    apart = taken_apart(raw)
    assert apart is not None
    assert [raw[start:stop] for start, stop in apart[1]] == list(whole.raw_input_contents)
    whole.ClearField("raw_input_contents")
    assert service_pb2.ModelInferRequest.FromString(apart[0]) == whole


def test_unknown_fields_are_left_alone(reader: Reader) -> None:
    for more in (b"\xa0\x06\x01", b"\xa2\x06\x02ab", b"\x85\x01abcd"):  # of other kinds and higher numbers
        _, arrays = reader.read(request().SerializeToString() + more)
        np.testing.assert_array_equal(arrays["a"], A)


def test_random_bytes_are_refused_or_read(reader: Reader) -> None:
    rng = random.Random(5)
    sound = request().SerializeToString()
    refused: list[int] = []
    for _ in range(3000):
        raw = bytearray(sound)
        for _ in range(rng.randrange(1, 6)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        try:
            reader.read(bytes(raw[: rng.randrange(len(raw) + 1)]) if rng.random() < 0.3 else bytes(raw))
        except Refusal as refusal:
            refused.append(refusal.status)
    assert set(refused) == {400, 404}
    assert len(refused) > 1000


def _change(**fields: object) -> service_pb2.ModelInferRequest:
    """A request whose first input is changed so."""
    made = request()
    for name, value in fields.items():
        setattr(made.inputs[0], name, value)
    return made


def _with(where: str, name: str, **parameter: object) -> service_pb2.ModelInferRequest:
    """A request with one parameter more."""
    made = request(outputs=[service_pb2.ModelInferRequest.InferRequestedOutputTensor(name="y")])
    owner = {"request": made, "input": made.inputs[0], "output": made.outputs[0]}[where]
    owner.parameters[name].MergeFrom(service_pb2.InferParameter(**parameter))
    return made


def _twice() -> service_pb2.ModelInferRequest:
    made = request()
    made.inputs[0].contents.fp64_contents.extend([5, 6])
    return made


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (_change(name="c"), "there is no input 'c'"),
        (_change(name="a"), "input 'b' is missing"),
        (_change(datatype="FP32"), "datatype 'FP32', the model takes FP64"),
        (_twice(), "has contents, and raw_input_contents has it, too"),
        (request(outputs=[service_pb2.ModelInferRequest.InferRequestedOutputTensor(name="z")]), "there is no output 'z'"),
        (request(outputs=2 * [service_pb2.ModelInferRequest.InferRequestedOutputTensor(name="y")]), "asked for twice"),
        (_with("request", "binary_data_output", int64_param=1), "binary_data_output is a int64_param: it must be a bool_param"),
        (_with("request", "timeout", int64_param=-1), "timeout is -1"),
        (_with("input", "shared_memory_region", string_param="r"), "input 'b' is in shared memory"),
        (_with("output", "classification", int64_param=1), "output 'y' asks for a classification"),
    ],
)
def test_refused(reader: Reader, made: service_pb2.ModelInferRequest, told: str) -> None:
    with pytest.raises(Refusal, match=told) as found:
        read(reader, made)
    assert found.value.status == 400


def test_only_its_own_model(reader: Reader) -> None:
    made = request(model_version="4")
    with pytest.raises(Refusal, match="there is no model 'tiny', version '4': this is 'tiny', version '3'") as found:
        read(reader, made)
    assert found.value.status == 404


def test_what_is_asked(reader: Reader) -> None:
    wanted = service_pb2.ModelInferRequest.InferRequestedOutputTensor(name="y")
    assert read(reader, request(raw=False, outputs=[wanted]))[0].as_bytes is False
    made = request(raw=False, outputs=[wanted], id="one")
    made.parameters["binary_data_output"].bool_param = True
    made.parameters["timeout"].int64_param = 2000
    assert read(reader, made)[0] == Question(id="one", timeout_us=2000, outputs=("y",), as_bytes=True)


SPECS = [TensorSpec(name="t", dtype=dtype, shape=("rows", 2)) for dtype in tiny.DTYPES]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.dtype)
def test_typed_contents(spec: TensorSpec) -> None:
    array = tiny.anything(np.random.default_rng(1), spec, 3)
    datatype = codec.DATATYPES[spec.dtype]
    if datatype == "FP16":
        with pytest.raises(Refusal, match="FP16, which has no contents of its own"):
            contents.read(service_pb2.InferTensorContents(), spec, [3, 2], datatype)
        return
    sent = service_pb2.InferTensorContents(**contents.filled(array))
    read = contents.read(sent, spec, [3, 2], datatype)
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize(
    ("dtype", "sent", "told"),
    [
        ("int8", {"int_contents": [1, 128]}, "a number that INT8 cannot hold"),
        ("uint16", {"uint_contents": [1, 65536]}, "a number that UINT16 cannot hold"),
        ("int8", {"int64_contents": [1, 2]}, "int_contents must be filled, not int64_contents"),
        ("float32", {"fp32_contents": [1, 2], "fp64_contents": [1, 2]}, "not fp32_contents and fp64_contents"),
        ("float32", {}, "not nothing"),
        ("float32", {"fp32_contents": [1, 2, 3]}, "3 elements, which do not fill its shape"),
        ("string", {"bytes_contents": [b"a", b"\xff"]}, "no UTF-8"),
    ],
)
def test_typed_contents_refused(dtype: str, sent: dict[str, Any], told: str) -> None:
    spec = TensorSpec(name="t", dtype=dtype, shape=("rows",))
    with pytest.raises(Refusal, match=told):
        contents.read(service_pb2.InferTensorContents(**sent), spec, [2], codec.DATATYPES[dtype])


def test_nan_and_infinity_are_numbers() -> None:
    spec = TensorSpec(name="t", dtype="float32", shape=("rows",))
    sent = service_pb2.InferTensorContents(fp32_contents=[np.nan, np.inf])
    np.testing.assert_array_equal(contents.read(sent, spec, [2], "FP32"), np.array([np.nan, np.inf], np.float32))


@pytest.mark.parametrize("as_bytes", [True, False])
@pytest.mark.parametrize("name", ["", "r" * 300])
def test_reply(name: str, as_bytes: bool) -> None:
    writer = Writer(MODEL)
    answers = {"y": np.arange(300, dtype=np.float32), "z": np.array(["a", "ß"], dtype=object)}
    for outputs in (("y", "z"), ("z",), ("y", "z")):
        question = Question(id=name, timeout_us=0, outputs=outputs, as_bytes=as_bytes)
        found = service_pb2.ModelInferResponse.FromString(writer.write(question, answers))
        assert (found.model_name, found.model_version, found.id) == ("tiny", "3", name)
        assert [(one.name, one.datatype, tuple(one.shape)) for one in found.outputs] == [
            (name, codec.datatype_of(answers[name]), answers[name].shape) for name in outputs
        ]
        assert list(found.raw_output_contents) == ([codec.to_bytes(answers[name]) for name in outputs] if as_bytes else [])
        assert list(found.outputs[-1].contents.bytes_contents) == (
            [] if as_bytes or outputs[-1] != "z" else [b"a", "ß".encode()]
        )


def test_empty_contents_beside_bytes_are_none(reader: Reader) -> None:
    """As MLServer's client sends them."""
    made = request()
    for tensor in made.inputs:
        tensor.contents.SetInParent()
    _, arrays = read(reader, made)
    np.testing.assert_array_equal(arrays["a"], A)
