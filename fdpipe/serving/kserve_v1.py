"""KServe's V1 protocol, which is TensorFlow Serving's: rows as `instances` or columns as `inputs`, and `predictions`.

The specification: kserve.github.io, "V1 Inference Protocol".
"""

import msgspec

from fdpipe.arrays import Batch
from fdpipe.serving import codec, wishes
from fdpipe.serving.application import Handler, Route
from fdpipe.serving.call import Asked, Reply
from fdpipe.serving.predictions import Predictions
from fdpipe.serving.predictor import Predictor
from fdpipe.serving.refusal import Refusal, json_reply
from fdpipe.serving.rows import Inputs

PROTOCOL = "kserve_v1"


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON of a request: one of these."""

    instances: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    inputs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def routes(predictor: Predictor) -> list[Route]:
    """Every path below `/v1`, and whether the server lives."""
    handlers = _Handlers(predictor)
    path = f"/v1/models/{predictor.manifest.model.name}"
    return [
        _route("GET", "/", handlers.alive),
        _route("GET", "/v1/models", handlers.models),
        _route("GET", path, handlers.ready),
        _route("POST", f"{path}:predict", handlers.predict),
    ]


def _route(method: str, path: str, handle: Handler) -> Route:
    return Route(method=method, path=path, protocol=PROTOCOL, handle=handle)


class _Handlers:
    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._name = predictor.manifest.model.name
        self._inputs = Inputs(predictor.manifest.inputs)
        self._predictions = Predictions(predictor.processor)

    async def alive(self, asked: Asked) -> Reply:
        return json_reply({"status": "alive"})

    async def models(self, asked: Asked) -> Reply:
        return json_reply({"models": [self._name]})

    async def ready(self, asked: Asked) -> Reply:
        is_open = self._predictor.engine is not None
        return json_reply({"name": self._name, "ready": is_open}, status=200 if is_open else 503)

    async def predict(self, asked: Asked) -> Reply:
        wishes.heed(asked)
        body = codec.read(asked.body, Body, 'the body is not {"instances": [row, …]} in JSON')
        prediction = await self._predictor.predict(self._records(body), asked.call)
        by_row = body.instances is not msgspec.UNSET
        return json_reply({"predictions": self._predictions.of(prediction.answers, by_row=by_row)})

    def _records(self, body: Body) -> Batch:
        if body.instances is not msgspec.UNSET and body.inputs is msgspec.UNSET:
            return self._inputs.of_instances(bytes(body.instances))
        if body.inputs is not msgspec.UNSET and body.instances is msgspec.UNSET:
            return self._inputs.of_inputs(bytes(body.inputs))
        raise Refusal("the body must have either instances (rows) or inputs (columns)")
