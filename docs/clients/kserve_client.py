"""Ask a service by KServe's own client (0.21). `python kserve_client.py HOST PORT v1|v2|v2-binary|grpc`.

The protocol V1 tells labels, the others probabilities.
"""

# ruff: noqa: T201 - it is a program for a terminal

import asyncio
import sys

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, InferResponse, RESTConfig

host, port, protocol = sys.argv[1], int(sys.argv[2]), sys.argv[3]
rows = np.array([[1, 2, 3, 4], [-1, 0.5, 0, 0.1]], np.float32)


async def over_rest() -> None:
    client = InferenceRESTClient(RESTConfig(protocol=protocol[:2]))
    url = f"http://{host}:{port + 1}"
    if not (await client.is_server_live(url) and await client.is_model_ready(url, "digits")):
        sys.exit("the service is not ready")
    if protocol == "v1":
        reply = await client.infer(url, {"instances": rows.tolist()}, model_name="digits")
        print(*reply["predictions"])
    else:
        show(await client.infer(url, request(binary=protocol == "v2-binary"), model_name="digits"))
    await client.close()


async def over_grpc() -> None:
    client = InferenceGRPCClient(f"{host}:{port + 2}")
    if not (await client.is_server_ready() and await client.is_model_ready("digits")):
        sys.exit("the service is not ready")
    show(await client.infer(request(binary=True)))
    await client.close()


def request(binary: bool) -> InferRequest:
    tensor = InferInput("x", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows, binary_data=binary)
    return InferRequest("digits", [tensor])


def show(reply: InferResponse) -> None:
    for output in reply.outputs:
        if output.name == "probabilities":
            for row in output.as_numpy():
                print(*row)


asyncio.run(over_grpc() if protocol == "grpc" else over_rest())
