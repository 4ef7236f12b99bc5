"""BentoML's typed API: what `/predict` takes and gives, as pydantic models of this very release, for its documentation.

The bodies themselves are read and written by `codec`, which is stricter.
"""

from typing import Any

import bentoml
import msgspec
from pydantic import BaseModel, Field, create_model
from starlette.requests import Request
from starlette.responses import Response

from fdpipe.artifacts import Manifest, TensorSpec
from fdpipe.serving import codec
from fdpipe.serving.edge import Call
from fdpipe.serving.predictor import Predictor
from fdpipe.serving.refusal import json_response


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON of a request: arrays by input name."""

    inputs: dict[str, msgspec.Raw]


class _Unread(bentoml.IODescriptor):  # type: ignore[misc]
    """Inputs that BentoML does not read: its handler gets the request, and `predict` reads it."""

    @classmethod
    async def from_http_request(cls, request: Request, serde: object) -> BaseModel:
        """What BentoML calls to read a request."""
        return cls.model_construct(inputs=request)  # type: ignore[no-any-return]


def input_model(manifest: Manifest) -> type[BaseModel]:
    """`{"inputs": {name: nested list}}` with the model's own names."""
    return create_model("PredictInput", __base__=_Unread, inputs=(_model("Inputs", BaseModel, manifest.inputs), ...))


def output_model(manifest: Manifest) -> type[BaseModel]:
    """Answers by name."""
    return _model("PredictOutput", bentoml.IODescriptor, manifest.answers)


async def predict(predictor: Predictor, request: Request, call: Call) -> Response:
    """Read the body, ask, write the answers."""
    asked = codec.read(await request.body(), Body, 'the body is not {"inputs": {name: list}} in JSON')
    specs = predictor.manifest.inputs
    codec.require_names(list(asked.inputs), specs)
    arrays = {spec.name: codec.nested(bytes(asked.inputs[spec.name]), spec) for spec in specs}
    call.prediction = await predictor.predict(codec.fitted(arrays, specs))
    return json_response(codec.listed(call.prediction.answers))


def _model(name: str, base: type[BaseModel], specs: tuple[TensorSpec, ...]) -> type[BaseModel]:
    """A model with one field a tensor; a name that is no Python identifier is an alias."""
    fields: dict[str, Any] = {
        f"field_{number}": (codec.json_type(spec), Field(alias=spec.name, description=_described(spec)))
        for number, spec in enumerate(specs)
    }
    return create_model(name, __base__=base, **fields)


def _described(spec: TensorSpec) -> str:
    return f"{spec.dtype}, shape {codec.shape_of(spec)}"
