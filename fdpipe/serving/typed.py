"""BentoML's typed API: what `/predict` takes and gives, as pydantic models of this very release, for its documentation.

The requests themselves are answered before BentoML sees them, and their bodies read and written by `codec`, which is stricter.
"""

import functools
from typing import Any

import bentoml
import msgspec
from pydantic import BaseModel, Field, create_model

from fdpipe.artifacts import Manifest, TensorSpec
from fdpipe.serving import codec, wishes
from fdpipe.serving.application import Route
from fdpipe.serving.call import Asked, Reply
from fdpipe.serving.predictor import Predictor
from fdpipe.serving.refusal import json_reply


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON of a request: arrays by input name."""

    inputs: dict[str, msgspec.Raw]


def routes(predictor: Predictor) -> list[Route]:
    """The only path: BentoML's name of the handler that documents it."""
    return [Route(method="POST", path="/predict", protocol="bentoml", handle=functools.partial(predict, predictor))]


def input_model(manifest: Manifest) -> type[BaseModel]:
    """`{"inputs": {name: nested list}}` with the model's own names."""
    return create_model(
        "PredictInput", __base__=bentoml.IODescriptor, inputs=(_model("Inputs", BaseModel, manifest.inputs), ...)
    )


def output_model(manifest: Manifest) -> type[BaseModel]:
    """Answers by name."""
    return _model("PredictOutput", bentoml.IODescriptor, manifest.answers)


async def predict(predictor: Predictor, asked: Asked) -> Reply:
    """Read the body, ask, write the answers."""
    wishes.heed(asked)
    body = codec.read(asked.body, Body, 'the body is not {"inputs": {name: list}} in JSON')
    specs = predictor.manifest.inputs
    codec.require_names(list(body.inputs), specs)
    arrays = {spec.name: codec.nested(bytes(body.inputs[spec.name]), spec) for spec in specs}
    prediction = await predictor.predict(codec.fitted(arrays, specs), asked.call)
    return json_reply(codec.listed(prediction.answers))


def _model(name: str, base: type[BaseModel], specs: tuple[TensorSpec, ...]) -> type[BaseModel]:
    """A model with one field a tensor; a name that is no Python identifier is an alias."""
    fields: dict[str, Any] = {
        f"field_{number}": (codec.json_type(spec), Field(alias=spec.name, description=_described(spec)))
        for number, spec in enumerate(specs)
    }
    return create_model(name, __base__=base, **fields)


def _described(spec: TensorSpec) -> str:
    return f"{spec.dtype}, shape {codec.shape_of(spec)}"
