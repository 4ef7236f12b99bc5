"""An ASGI application and nothing else: bytes in, bytes out, no checks."""

from pathlib import Path

import numpy as np
import onnxruntime
from starlette.types import Receive, Scope, Send

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(Path(__file__).with_name("model.onnx"), options, providers=["CPUExecutionProvider"])
shape = [1, *session.get_inputs()[0].shape[1:]]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Probabilities as float32."""
    if scope["type"] != "http":
        return
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    row = np.frombuffer(b"".join(parts), np.float32).reshape(shape)
    body = session.run(["probabilities"], {"x": row})[0].tobytes()
    headers = [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/octet-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
