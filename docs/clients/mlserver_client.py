"""Ask a service by MLServer's own library (1.7). `python mlserver_client.py HOST PORT rest|grpc`."""

# ruff: noqa: T201 - it is a program for a terminal

import sys
from urllib.request import Request, urlopen

import grpc
import numpy as np
from mlserver.codecs import NumpyCodec
from mlserver.grpc.converters import ModelInferRequestConverter, ModelInferResponseConverter
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
from mlserver.types import InferenceRequest, InferenceResponse

host, port, protocol = sys.argv[1], int(sys.argv[2]), sys.argv[3]
rows = np.array([[1, 2, 3, 4], [-1, 0.5, 0, 0.1]], np.float32)
request = InferenceRequest(inputs=[NumpyCodec.encode_input("x", rows)])

if protocol == "rest":
    url = f"http://{host}:{port + 1}/v2/models/digits/infer"
    asked = Request(url, request.model_dump_json().encode(), {"Content-Type": "application/json"})
    with urlopen(asked, timeout=10) as answer:
        reply = InferenceResponse.model_validate_json(answer.read())
else:
    with grpc.insecure_channel(f"{host}:{port + 2}") as channel:
        message = ModelInferRequestConverter.from_types(request, model_name="digits", use_raw=True)
        reply = ModelInferResponseConverter.to_types(GRPCInferenceServiceStub(channel).ModelInfer(message))

for output in reply.outputs:
    if output.name == "probabilities":
        for row in NumpyCodec.decode_output(output):
            print(*row)
