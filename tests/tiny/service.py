"""A service that speaks a release's protocols and has no model: `tiny.json` beside it says what it answers, and its flaw."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bentoml
import grpc
import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from fdpipe import open_inference

TINY = json.loads((Path(__file__).parent / "tiny.json").read_text())
if TINY["flaw"] == "import":
    raise SystemExit("the tiny service cannot be imported")
if TINY["flaw"] == "slow":
    time.sleep(60)


def answer(inputs: dict[str, Any]) -> dict[str, list[Any]]:
    sums = [sum(value or 0.0 for value in row) for row in inputs["x"]]
    scores = [TINY["factor"] * value for value in sums]
    labels = [word + ("+" if value > 0 else "-") for word, value in zip(inputs["word"], sums, strict=True)]
    return {"score": scores, "label": labels}


async def ready(request: Request) -> JSONResponse:
    return JSONResponse({"ready": True})


async def infer(request: Request) -> JSONResponse:
    if TINY["flaw"] == "late":
        await asyncio.sleep(2)
    tensors = {item["name"]: item for item in (await request.json())["inputs"]}
    flat, width = tensors["x"]["data"], tensors["x"]["shape"][1]
    rows = [flat[start : start + width] for start in range(0, len(flat), width)]
    answers = answer({"x": rows, "word": tensors["word"]["data"]})
    outputs = [{"name": name, "shape": [len(values)], "datatype": "?", "data": values} for name, values in answers.items()]
    return JSONResponse({"outputs": outputs})


async def infer_over_grpc(request: Any, context: grpc.aio.ServicerContext) -> bytes:  # noqa: ANN401 - of protobuf
    """Of strings it knows those of one letter or none."""
    raw = dict(zip([one.name for one in request.inputs], request.raw_input_contents, strict=True))
    words, at = [], 0
    while at < len(raw["word"]):
        length, at = raw["word"][at], at + 4
        words.append(raw["word"][at : at + length].decode())
        at += length
    rows = np.frombuffer(raw["x"], np.float32).reshape(len(words), -1)
    answers = answer({"x": [[None if value != value else float(value) for value in row] for row in rows], "word": words})
    texts = b"".join(len(one).to_bytes(4, "little") + one.encode() for one in answers["label"])
    reply = open_inference.message("ModelInferResponse")(raw_output_contents=[np.array(answers["score"]).tobytes(), texts])
    for name, datatype in (("score", "FP64"), ("label", "BYTES")):
        reply.outputs.add(name=name, datatype=datatype, shape=[len(words)])
    return reply.SerializeToString()  # type: ignore[no-any-return]


class Guest(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@bentoml.service
class Tiny:
    def __init__(self) -> None:
        if TINY["flaw"] == "worker":
            raise RuntimeError("the tiny model cannot be loaded")

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return answer(inputs)

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    async def listen(self) -> None:
        routes = [
            Route("/v2/health/ready", ready),
            Route("/v2/models/tiny/infer", infer, methods=["POST"]),
        ]
        if TINY["flaw"] == "undescribed":
            routes.append(Route("/v2/health/live", ready))
        port = int(os.environ["FDPIPE_SERVICE_PORT"]) + 1
        form = open_inference.message("ModelInferRequest").FromString
        handlers = {"ModelInfer": grpc.unary_unary_rpc_method_handler(infer_over_grpc, form)}
        self.over_grpc = grpc.aio.server()
        self.over_grpc.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(open_inference.SERVICE, handlers)])
        self.over_grpc.add_insecure_port(f"127.0.0.1:{port + 1}")
        await self.over_grpc.start()
        self.server = Guest(uvicorn.Config(Starlette(routes=routes), port=port, log_config=None))
        self.task = asyncio.create_task(self.server.serve())

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def close(self) -> None:
        await self.over_grpc.stop(1)
        self.server.should_exit = True
        await self.task
