"""MLflow's scoring protocol (that of SageMaker's containers, too): `/invocations` and what says that the server lives.

The specification: mlflow.org/docs, "Deploy MLflow Model as a Local Inference Server". Beyond it, a text or an image may be the
body itself, of a model that takes just that.
"""

import re

import msgspec

from fdpipe import __version__
from fdpipe.arrays import Batch
from fdpipe.serving import codec, comma_separated, media, wishes
from fdpipe.serving.application import Handler, Route
from fdpipe.serving.call import JSON, Asked, Reply
from fdpipe.serving.predictions import Predictions
from fdpipe.serving.predictor import Predictor
from fdpipe.serving.refusal import Refusal, json_reply
from fdpipe.serving.rows import Inputs

PROTOCOL = "mlflow"
FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
CSV = "text/csv"
ERROR_CODES = {
    429: "REQUEST_LIMIT_EXCEEDED",
    499: "CANCELLED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""MLflow's own, by HTTP's status; all others are bad requests."""

_STRING_OR_NAN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|NaN', re.DOTALL)

_JSON_TYPES = ("", "application/json")


class Frame(msgspec.Struct, forbid_unknown_fields=True):
    """A data frame as pandas splits it; its `index` means nothing here, nor do the names of levels."""

    columns: list[str | int]
    data: msgspec.Raw
    index: list[object] | None = None
    index_names: list[object] | None = None
    column_names: list[object] | None = None


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON of a request: one of the four forms. There are no parameters to set."""

    dataframe_split: Frame | None = None
    dataframe_records: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    instances: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    inputs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    params: dict[str, object] | None = None


def routes(predictor: Predictor) -> list[Route]:
    """The paths of `mlflow models serve`."""
    handlers = _Handlers(predictor)
    return [
        _route("GET", "/ping", handlers.ping),
        _route("GET", "/health", handlers.ping),
        _route("GET", "/version", handlers.version),
        _route("POST", "/invocations", handlers.invoke),
    ]


def _route(method: str, path: str, handle: Handler) -> Route:
    return Route(method=method, path=path, protocol=PROTOCOL, handle=handle, told=told)


def told(refusal: Refusal) -> Reply:
    """An error as MLflow writes it."""
    reply = refusal.reply()
    code = ERROR_CODES.get(refusal.status, "BAD_REQUEST")
    return Reply(msgspec.json.encode({"error_code": code, "message": str(refusal)}), status=reply.status, headers=reply.headers)


class _Handlers:
    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._manifest = predictor.manifest
        self._inputs = Inputs(predictor.manifest.inputs)
        self._predictions = Predictions(predictor.processor)
        own = media.media_types(predictor.processor)
        self._own_types = own if len(predictor.manifest.inputs) == 1 else ()

    async def ping(self, asked: Asked) -> Reply:
        return Reply(b"\n", status=200 if self._predictor.engine is not None else 503)

    async def version(self, asked: Asked) -> Reply:
        """Of fdpipe, since no MLflow is here."""
        return Reply(__version__.encode(), headers=(JSON,))

    async def invoke(self, asked: Asked) -> Reply:
        wishes.heed(asked)
        prediction = await self._predictor.predict(self._records(asked), asked.call)
        return json_reply({"predictions": self._predictions.of(prediction.answers)})

    def _records(self, asked: Asked) -> Batch:
        kind = _media_type(asked.header(b"content-type") or b"")
        if kind in _JSON_TYPES:
            return self._of_json(asked.body)
        if kind == CSV:
            return self._inputs.of_frame(*comma_separated.frame(asked.body, self._manifest.inputs))
        if kind in self._own_types:
            return media.only_record(asked.body, self._manifest)
        taken = ", ".join(("application/json", CSV, *self._own_types))
        raise Refusal(f"the body is {kind[:80]}: this model takes {taken}", status=415)

    def _of_json(self, raw: bytes) -> Batch:
        body = codec.read(_without_nan(raw), Body, f"the body is no JSON object with one of {', '.join(FORMS)}")
        if body.params:
            raise Refusal(f"this model has no parameter {next(iter(body.params))!r}: send no params")
        given = [form for form in FORMS if getattr(body, form) not in (None, msgspec.UNSET)]
        if len(given) != 1:
            raise Refusal(f"the body must have just one of {', '.join(FORMS)}, it has {' and '.join(given) or 'none'}")
        if body.dataframe_split is not None:
            return self._inputs.of_frame([str(name) for name in body.dataframe_split.columns], bytes(body.dataframe_split.data))
        if body.dataframe_records is not msgspec.UNSET:
            return self._inputs.of_records(bytes(body.dataframe_records))
        if body.instances is not msgspec.UNSET:
            return self._inputs.of_instances(bytes(body.instances))
        assert body.inputs is not msgspec.UNSET
        return self._inputs.of_inputs(bytes(body.inputs))


def _without_nan(raw: bytes) -> bytes:
    """MLflow's client writes a number that is missing as `NaN`, which is no JSON: as `null`."""
    if b"NaN" not in raw:
        return raw
    return _STRING_OR_NAN.sub(lambda found: b"null" if found[0] == b"NaN" else found[0], raw)


def _media_type(header: bytes) -> str:
    """In lower case, without its parameters; refused where they say another encoding than UTF-8."""
    kind, *parameters = (part.strip() for part in header.decode("latin-1").lower().split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip(" \"'") not in ("utf-8", "utf8", "us-ascii"):
            raise Refusal(f"the charset is {value[:40]}: it must be utf-8", status=415)
    return kind
