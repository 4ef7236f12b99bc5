"""Ask a service with httpx and numpy alone: tensors as bytes, no JSON for the numbers. `python numpy_http.py HOST PORT`."""

# ruff: noqa: T201 - it is a program for a terminal

import json
import sys

import httpx
import numpy as np

host, port = sys.argv[1], int(sys.argv[2])
rows = np.array([[1, 2, 3, 4], [-1, 0.5, 0, 0.1]], np.float32)

tensor = {"name": "x", "datatype": "FP32", "shape": rows.shape, "parameters": {"binary_data_size": rows.nbytes}}
wanted = {"name": "probabilities", "parameters": {"binary_data": True}}
header = json.dumps({"inputs": [tensor], "outputs": [wanted]}).encode()

with httpx.Client(base_url=f"http://{host}:{port + 1}") as client:
    reply = client.post(
        "/v2/models/digits/infer",
        content=header + rows.tobytes(),
        headers={"Inference-Header-Content-Length": str(len(header))},
    )
if reply.is_error:
    sys.exit(reply.json()["error"])

length = int(reply.headers["Inference-Header-Content-Length"])
shape = json.loads(reply.content[:length])["outputs"][0]["shape"]
for row in np.frombuffer(reply.content, "<f4", offset=length).reshape(shape):
    print(*row)
