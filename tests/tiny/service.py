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
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

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
        port = int(os.environ["FDPIPE_SERVICE_PORT"]) + 1
        self.server = Guest(uvicorn.Config(Starlette(routes=routes), port=port, log_config=None))
        self.task = asyncio.create_task(self.server.serve())

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def close(self) -> None:
        self.server.should_exit = True
        await self.task
