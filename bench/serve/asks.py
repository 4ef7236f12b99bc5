"""The same row in every server's words, and whether an answer is the model's."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.serve.load import Ask
from fdpipe import open_inference

JSON = {"Content-Type": "application/json"}
BYTES = {"Content-Type": "application/octet-stream"}
GRPC = {"content-type": "application/grpc", "te": "trailers"}
METHOD = f"/{open_inference.SERVICE}/ModelInfer"
TOLERANCE = 1e-4


def named(url: str, row: np.ndarray) -> Ask:
    """`{"x": […]}`."""
    return Ask(url=url, body=json.dumps({"x": row.tolist()}).encode(), headers=JSON)


def raw(url: str, row: np.ndarray) -> Ask:
    """Its bytes."""
    return Ask(url=url, body=row.tobytes(), headers=BYTES)


def oip(url: str, row: np.ndarray) -> Ask:
    """The Open Inference Protocol in JSON, flat, as its clients write it."""
    tensor = _tensor(row) | {"data": row.ravel().tolist()}
    return Ask(url=url, body=json.dumps({"inputs": [tensor]}).encode(), headers=JSON)


def oip_binary(url: str, row: np.ndarray) -> Ask:
    """The same with binary tensors, both ways."""
    tensor = _tensor(row) | {"parameters": {"binary_data_size": row.nbytes}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return Ask(url=url, body=head + row.tobytes(), headers=BYTES | {"Inference-Header-Content-Length": str(len(head))})


def oip_grpc(url: str, model: str, row: np.ndarray) -> Ask:
    """The same over gRPC, with raw tensors."""
    message = open_inference.message("ModelInferRequest")(model_name=model, raw_input_contents=[row.tobytes()])
    tensor = message.inputs.add()
    tensor.name, tensor.datatype = "x", "FP32"
    tensor.shape.extend(row.shape)
    return Ask(url=url + METHOD, body=message.SerializeToString(), headers=GRPC, grpc=True)


Read = Callable[[Ask], np.ndarray]
"""Ask once, over a client of Python's, and give the probabilities."""


def read_json(ask: Ask) -> np.ndarray:
    """`[…]`, `{"probabilities": […]}`, or the protocol's outputs."""
    said = json.loads(_posted(ask)[0])
    if isinstance(said, dict) and "outputs" in said:
        said = next(one["data"] for one in said["outputs"] if one["name"] == "probabilities")
    return np.array(said["probabilities"] if isinstance(said, dict) else said, np.float32).ravel()


def read_raw(ask: Ask) -> np.ndarray:
    """The bytes."""
    return np.frombuffer(_posted(ask)[0], np.float32)


def read_binary(ask: Ask) -> np.ndarray:
    """The last tensor behind the head."""
    body, length = _posted(ask)
    outputs = json.loads(body[:length])["outputs"]
    at = length
    for one in outputs:
        size = one["parameters"]["binary_data_size"]
        if one["name"] == "probabilities":
            return np.frombuffer(body[at : at + size], np.float32)
        at += size
    raise ValueError("there are no probabilities")


def read_grpc(ask: Ask) -> np.ndarray:
    """Raw or typed."""
    import grpc

    with grpc.insecure_channel(ask.url.removeprefix("http://").removesuffix(METHOD)) as channel:
        call = channel.unary_unary(METHOD, response_deserializer=open_inference.message("ModelInferResponse").FromString)
        said: Any = call(ask.body, timeout=10)
    at = [one.name for one in said.outputs].index("probabilities")
    if said.raw_output_contents:
        return np.frombuffer(said.raw_output_contents[at], np.float32)
    return np.array(said.outputs[at].contents.fp32_contents, np.float32)


def _tensor(row: np.ndarray) -> dict[str, object]:
    return {"name": "x", "shape": list(row.shape), "datatype": "FP32"}


def _posted(ask: Ask) -> tuple[bytes, int]:
    """The body, and how long its head is."""
    import httpx

    answer = httpx.post(ask.url, content=ask.body, headers=dict(ask.headers), timeout=30)
    answer.raise_for_status()
    return answer.content, int(answer.headers.get("Inference-Header-Content-Length", 0))
