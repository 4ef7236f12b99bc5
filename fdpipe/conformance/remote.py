"""A client of the Open Inference Protocol V2 over gRPC, with the tensors as bytes or in typed fields."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np

from fdpipe import open_inference
from fdpipe.arrays import Batch
from fdpipe.conformance import raw
from fdpipe.conformance.model import Model, read
from fdpipe.conformance.result import NotShown, Violation

CONNECT_S = 1.0
_LONGEST_BYTES = 2**31 - 1
_OPTIONS = (("grpc.max_receive_message_length", _LONGEST_BYTES), ("grpc.enable_http_proxy", 0))

FIELDS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip
"""A datatype's typed field; FP16 has none."""


class Absent(Exception):
    """Nobody speaks the protocol there; the text says what was found."""


@dataclass(frozen=True, kw_only=True)
class Remote:
    """Asks one model of the service at `address`, which is `host:port`."""

    address: str
    channel: grpc.Channel
    model: str
    metadata: tuple[tuple[str, str], ...] = ()
    timeout_s: float = 10.0

    def call(self, method: str, **fields: Any) -> Any:  # noqa: ANN401 - of protobuf
        """One call; `grpc.RpcError` where it fails."""
        return self.send(method, open_inference.message(f"{method}Request")(**fields).SerializeToString())

    def send(self, method: str, message: bytes) -> Any:  # noqa: ANN401 - of protobuf
        """The same with a message's bytes."""
        form = open_inference.message(f"{method}Response").FromString
        call = self.channel.unary_unary(f"/{open_inference.SERVICE}/{method}", None, form)
        return call(message, timeout=self.timeout_s, metadata=self.metadata)

    def ask(self, inputs: Batch, *, typed: bool = False) -> dict[str, np.ndarray]:
        """The answers by name; `Violation` for anything else."""
        try:
            reply = self.send("ModelInfer", self.request(inputs, typed=typed))
        except grpc.RpcError as error:
            raise Violation(f"status {error.code().name}: {error.details()[:200]}") from error
        try:
            return _answers(reply)
        except (ValueError, KeyError) as error:
            raise Violation(f"the reply is not as the protocol has it: {type(error).__name__} {error}") from error

    def request(self, inputs: Batch, *, typed: bool = False) -> bytes:
        """The message that asks; `NotShown` for what no typed field can hold."""
        request = open_inference.message("ModelInferRequest")(model_name=self.model)
        for name, array in inputs.items():
            datatype = raw.datatype_of(array)
            tensor = request.inputs.add(name=name, datatype=datatype, shape=array.shape)
            if not typed:
                request.raw_input_contents.append(raw.to_bytes(array))
            elif datatype not in FIELDS:
                raise NotShown(f"{name} is {datatype}, which the protocol has no typed field for")
            else:
                values = [str(one).encode() for one in array.ravel()] if datatype == "BYTES" else array.ravel().tolist()
                getattr(tensor.contents, FIELDS[datatype]).extend(values)
        return request.SerializeToString()  # type: ignore[no-any-return]

    def described(self) -> Model:
        """What ModelMetadata says; `ValueError` where that is not as the protocol has it."""
        found = self.call("ModelMetadata", name=self.model)
        parts = {part: [_as_json(one) for one in getattr(found, part)] for part in ("inputs", "outputs")}
        return read({"name": found.name, "versions": list(found.versions), **parts})


def connect(address: str, model: str, headers: Mapping[str, str], timeout_s: float) -> Remote:
    """A client, once the service has said there that it knows the model; `Absent` where it has not."""
    channel = grpc.insecure_channel(address, options=_OPTIONS)
    metadata = tuple((name.lower(), value) for name, value in headers.items())
    remote = Remote(address=address, channel=channel, model=model, metadata=metadata, timeout_s=timeout_s)
    try:
        grpc.channel_ready_future(channel).result(timeout=CONNECT_S)
        remote.call("ModelMetadata", name=model)
    except grpc.FutureTimeoutError as error:
        channel.close()
        raise Absent(f"nobody speaks gRPC at {address}") from error
    except grpc.RpcError as error:
        channel.close()
        raise Absent(f"ModelMetadata at {address} gives {error.code().name}: {(error.details() or '')[:100]}") from error
    return remote


def _answers(reply: Any) -> dict[str, np.ndarray]:  # noqa: ANN401 - of protobuf
    if reply.raw_output_contents:
        pairs = zip(reply.outputs, reply.raw_output_contents, strict=True)
        return {one.name: raw.from_bytes(data, one.datatype, tuple(one.shape)) for one, data in pairs}
    return {one.name: _from_fields(one) for one in reply.outputs}


def _from_fields(one: Any) -> np.ndarray:  # noqa: ANN401 - of protobuf
    values = list(getattr(one.contents, FIELDS[one.datatype]))
    if one.datatype == "BYTES":
        array = np.empty(len(values), dtype=object)
        array[:] = [value.decode() for value in values]
        return array.reshape(tuple(one.shape))
    return np.array(values, dtype=raw.DTYPES[one.datatype]).reshape(tuple(one.shape))


def _as_json(tensor: Any) -> dict[str, Any]:  # noqa: ANN401 - of protobuf
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
