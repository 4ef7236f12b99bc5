"""The Open Inference Protocol V2 over REST, in JSON and with the binary tensor extension.

The specification: github.com/kserve/open-inference-protocol; `binary_tensor_data`, `model_configuration` and the repository's
index are Triton's.
"""

from collections.abc import Sequence
from typing import Any

from fdpipe import __version__
from fdpipe.artifacts import TensorSpec
from fdpipe.serving import codec, wishes
from fdpipe.serving.application import Handler, Route
from fdpipe.serving.call import Asked, Reply
from fdpipe.serving.oip_reply import HEADER_LENGTH, Writer
from fdpipe.serving.oip_request import Reader
from fdpipe.serving.predictor import Predictor
from fdpipe.serving.refusal import json_reply

PROTOCOL = "oip_rest"
EXTENSIONS = ("binary_tensor_data", "model_configuration")


def routes(predictor: Predictor) -> list[Route]:
    """Every path below `/v2`."""
    rest = _Rest(predictor)
    model = predictor.manifest.model
    found = [
        _route("GET", "/v2", rest.server),
        _route("GET", "/v2/health/live", rest.live),
        _route("GET", "/v2/health/ready", rest.ready),
        _route("POST", "/v2/repository/index", rest.index),
    ]
    for path in (f"/v2/models/{model.name}", f"/v2/models/{model.name}/versions/{model.version}"):
        found += [_route("GET", path, rest.metadata), _route("GET", f"{path}/ready", rest.model_ready)]
        found += [_route("GET", f"{path}/config", rest.configuration), _route("POST", f"{path}/infer", rest.infer)]
    return found


def _route(method: str, path: str, handle: Handler) -> Route:
    return Route(method=method, path=path, protocol=PROTOCOL, handle=handle)


class _Rest:
    """The handlers."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.manifest = predictor.manifest
        self._reader = Reader(self.manifest.inputs, self.manifest.answers)
        self._writer = Writer(self.manifest.model)

    async def server(self, asked: Asked) -> Reply:
        return json_reply({"name": "fdpipe", "version": __version__, "extensions": EXTENSIONS})

    async def live(self, asked: Asked) -> Reply:
        return json_reply({"live": True})

    async def ready(self, asked: Asked) -> Reply:
        """The server is ready when its model is."""
        return json_reply({"ready": self._is_open}, status=200 if self._is_open else 503)

    async def model_ready(self, asked: Asked) -> Reply:
        return json_reply({"name": self.manifest.model.name, "ready": self._is_open}, status=200 if self._is_open else 503)

    async def index(self, asked: Asked) -> Reply:
        model = self.manifest.model
        state = "READY" if self._is_open else "UNAVAILABLE"
        return json_reply([{"name": model.name, "version": model.version, "state": state, "reason": ""}])

    async def metadata(self, asked: Asked) -> Reply:
        found = self.manifest
        return json_reply(
            {
                "name": found.model.name,
                "versions": [found.model.version],
                "platform": self._platform,
                "inputs": [_described(one) for one in found.inputs],
                "outputs": [_described(one) for one in found.answers],
            }
        )

    async def configuration(self, asked: Asked) -> Reply:
        """In Triton's terms, as far as they hold here: all axes are named, and no number of rows is the most."""
        found = self.manifest
        return json_reply(
            {
                "name": found.model.name,
                "platform": self._platform,
                "backend": found.candidate.runtime,
                "max_batch_size": 0,
                "input": _configured(found.inputs),
                "output": _configured(found.answers),
            }
        )

    async def infer(self, asked: Asked) -> Reply:
        wishes.heed(asked)
        question, records = self._reader.read(asked.body, asked.header(HEADER_LENGTH))
        if question.timeout_us:
            wishes.hurry(asked.call, question.timeout_us / 1e6)
        prediction = await self.predictor.predict(records, asked.call)
        return self._writer.write(question, prediction.answers)

    @property
    def _is_open(self) -> bool:
        return self.predictor.engine is not None

    @property
    def _platform(self) -> str:
        return f"{self.manifest.candidate.runtime}_{self.manifest.artifact.kind}"


def _described(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": codec.DATATYPES[spec.dtype], "shape": codec.shape_of(spec)}


def _configured(specs: Sequence[TensorSpec]) -> list[dict[str, Any]]:
    kinds = {spec.name: codec.DATATYPES[spec.dtype] for spec in specs}
    types = {name: "STRING" if kind == "BYTES" else kind for name, kind in kinds.items()}
    return [{"name": spec.name, "data_type": f"TYPE_{types[spec.name]}", "dims": codec.shape_of(spec)} for spec in specs]
