"""Ask a service by Triton's own client, over HTTP or gRPC. `python triton_client.py HOST PORT http|grpc`."""

# ruff: noqa: T201 - it is a program for a terminal

import importlib
import sys

import numpy as np

host, port, protocol = sys.argv[1], int(sys.argv[2]), sys.argv[3]
triton = importlib.import_module(f"tritonclient.{protocol}")
rows = np.array([[1, 2, 3, 4], [-1, 0.5, 0, 0.1]], np.float32)

with triton.InferenceServerClient(f"{host}:{port + (1 if protocol == 'http' else 2)}") as client:
    tensor = triton.InferInput("x", rows.shape, "FP32")
    tensor.set_data_from_numpy(rows)
    reply = client.infer("digits", [tensor], outputs=[triton.InferRequestedOutput("probabilities")])
for row in reply.as_numpy("probabilities"):
    print(*row)
