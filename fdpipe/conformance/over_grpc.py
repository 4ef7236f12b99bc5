"""The Open Inference Protocol over gRPC, asked with the tensors as bytes."""

import grpc
import numpy as np

from fdpipe import open_inference
from fdpipe.arrays import Batch
from fdpipe.conformance import raw

_LONGEST_BYTES = 2**31 - 1


def infer(address: str, model: str, inputs: Batch, timeout_s: float) -> dict[str, np.ndarray]:
    """The answers of the model at `host:port`; `ValueError` with the status where it gives none."""
    request = open_inference.message("ModelInferRequest")(model_name=model)
    for name, array in inputs.items():
        request.inputs.add(name=name, datatype=raw.datatype_of(array), shape=array.shape)
        request.raw_input_contents.append(raw.to_bytes(array))
    reply_form = open_inference.message("ModelInferResponse")
    with grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", _LONGEST_BYTES)]) as channel:
        call = channel.unary_unary(f"/{open_inference.SERVICE}/ModelInfer", None, reply_form.FromString)
        try:
            reply = call(request.SerializeToString(), timeout=timeout_s)
        except grpc.RpcError as error:
            raise ValueError(f"status {error.code().name}: {error.details()[:200]}") from error
    outputs = zip(reply.outputs, reply.raw_output_contents, strict=True)
    return {one.name: raw.from_bytes(data, one.datatype, tuple(one.shape)) for one, data in outputs}
