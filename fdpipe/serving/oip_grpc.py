"""The Open Inference Protocol V2 over gRPC: its methods, each from the bytes of a message to the bytes of another.

The specification: github.com/kserve/open-inference-protocol.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from fdpipe import __version__, open_inference
from fdpipe.artifacts import TensorSpec
from fdpipe.serving import codec, wishes
from fdpipe.serving.call import Call
from fdpipe.serving.figures import Figures
from fdpipe.serving.oip_grpc_reply import Writer
from fdpipe.serving.oip_grpc_request import Reader
from fdpipe.serving.predictor import Predictor
from fdpipe.serving.refusal import Refusal
from fdpipe.serving.statuses import Metadata, Vet, refuse

log = logging.getLogger(__name__)

PROTOCOL = "oip_grpc"
RELEASE = "x-fdpipe-release"
"""In the trailing metadata of each answer: as initial metadata it would cost every request a second turn of the event loop."""

_PREFIX = f"/{open_inference.SERVICE}/"
_DEFECT = Refusal("the request could not be answered: the service's log has the reason", status=500, kind="internal")


class Methods:
    """What gRPC asks for the handler of a call. `vet`, where there is one, sees each request's metadata first."""

    def __init__(self, predictor: Predictor, figures: Figures, vet: Vet | None = None) -> None:
        self._predictor, self._figures, self._vet = predictor, figures, vet
        self._manifest = manifest = predictor.manifest
        self._reader, self._writer = Reader(manifest.model, manifest.inputs, manifest.answers), Writer(manifest.model)
        self._trailing: Metadata = ((RELEASE, manifest.digest),)
        self._reads_metadata = vet is not None or manifest.traffic.cache_mib > 0
        self._handlers = {
            f"{_PREFIX}ModelInfer": grpc.stream_unary_rpc_method_handler(self.infer),
            f"{_PREFIX}ServerLive": self._plain("ServerLive", self.server_live, vetted=False),
            f"{_PREFIX}ServerReady": self._plain("ServerReady", self.server_ready, vetted=False),
            f"{_PREFIX}ModelReady": self._plain("ModelReady", self.model_ready),
            f"{_PREFIX}ServerMetadata": self._plain("ServerMetadata", self.server_metadata),
            f"{_PREFIX}ModelMetadata": self._plain("ModelMetadata", self.model_metadata),
        }

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """The handler; None for what is another service's."""
        found = self._handlers.get(details.method)
        if found is None and details.method.startswith(_PREFIX):
            return self._unknown(details.method.removeprefix(_PREFIX))
        return found

    async def infer(self, requests: object, context: grpc.aio.ServicerContext) -> bytes:
        """ModelInfer. A caller who goes cancels this very task, and with it what waits in the batcher. Its one message is read
        here, not by gRPC, so that a refused caller's is not."""
        seconds = self._seconds(context)
        call = Call(PROTOCOL, time.monotonic() + seconds)
        self._figures.begin()
        try:
            if self._reads_metadata:
                self._heed(context.invocation_metadata(), call)
            self._predictor.admit(call.deadline)
            question, records = self._reader.read(await message(context, seconds))
            if question.timeout_us:
                wishes.hurry(call, question.timeout_us / 1e6)
            prediction = await self._predictor.predict(records, call)
            reply = self._writer.write(question, prediction.answers)
            call.status = 200
        except Exception as error:
            refusal = _told(error)
            call.status, call.error = refusal.status, refusal.kind
            await refuse(context, refusal, self._trailing)
        else:
            context.set_trailing_metadata(self._trailing)
            return reply
        finally:
            self._figures.end(call)

    def server_live(self, request: Any) -> dict[str, Any]:  # noqa: ANN401 - of protobuf
        """That the process answers."""
        return {"live": True}

    def server_ready(self, request: Any) -> dict[str, Any]:  # noqa: ANN401 - of protobuf
        """That it has its model."""
        return {"ready": self._predictor.engine is not None}

    def model_ready(self, request: Any) -> dict[str, Any]:  # noqa: ANN401 - of protobuf
        """The same, of the model by its name."""
        self._reader.require_model(request.name, request.version)
        return {"ready": self._predictor.engine is not None}

    def server_metadata(self, request: Any) -> dict[str, Any]:  # noqa: ANN401 - of protobuf
        """What this is."""
        return {"name": "fdpipe", "version": __version__, "extensions": []}

    def model_metadata(self, request: Any) -> dict[str, Any]:  # noqa: ANN401 - of protobuf
        """The model's inputs and outputs."""
        self._reader.require_model(request.name, request.version)
        found = self._manifest
        return {
            "name": found.model.name,
            "versions": [found.model.version],
            "platform": f"{found.candidate.runtime}_{found.artifact.kind}",
            "inputs": [_described(one) for one in found.inputs],
            "outputs": [_described(one) for one in found.answers],
        }

    def _seconds(self, context: grpc.aio.ServicerContext) -> float:
        """How long the caller waits, and never longer than the release's own limit."""
        own, callers = self._manifest.timeout_s, context.time_remaining()
        return own if callers is None or callers > own else callers

    def _heed(self, metadata: Metadata, call: Call) -> None:
        if self._vet is not None:
            self._vet(metadata)
        for name, value in metadata:
            if name == "cache-control" and isinstance(value, str):
                call.fresh = call.fresh or "no-cache" in value.lower() or "no-store" in value.lower()

    def _plain(self, method: str, work: Callable[[Any], dict[str, Any]], *, vetted: bool = True) -> grpc.RpcMethodHandler:
        """One that asks nothing of the model, and is not counted."""
        vet = self._vet if vetted else None
        asked, answered = open_inference.message(f"{method}Request"), open_inference.message(f"{method}Response")

        async def handle(requests: object, context: grpc.aio.ServicerContext) -> bytes:
            try:
                if vet is not None:
                    vet(context.invocation_metadata())
                raw = await message(context, self._seconds(context))
                reply = answered(**work(_parsed(asked, raw))).SerializeToString()
            except Exception as error:
                await refuse(context, _told(error), self._trailing)
            context.set_trailing_metadata(self._trailing)
            return reply  # type: ignore[no-any-return]

        return grpc.stream_unary_rpc_method_handler(handle)

    def _unknown(self, method: str) -> grpc.RpcMethodHandler:
        """For those that only some servers have, whether they send one message or many."""

        async def handle(requests: object, context: grpc.aio.ServicerContext) -> None:
            text = f"{method} is not offered by this service: it has {', '.join(open_inference.METHODS)}"
            await refuse(context, Refusal(text, status=501), self._trailing)

        return grpc.stream_stream_rpc_method_handler(handle)


async def message(context: grpc.aio.ServicerContext, seconds: float) -> Any:  # noqa: ANN401 - whatever the handler reads
    """The caller's, which must be here whole in so many seconds."""
    found = await message_or_end(context, seconds)
    if found is grpc.aio.EOF:
        raise Refusal("no message came")
    return found


async def message_or_end(context: grpc.aio.ServicerContext, seconds: float) -> Any:  # noqa: ANN401 - as above
    """The next one of several, or gRPC's EOF."""
    try:
        async with asyncio.timeout(seconds):
            return await context.read()
    except TimeoutError:
        raise Refusal(f"the message did not come within {seconds:.3g} s", status=504, kind="timeout") from None


def _told(error: Exception) -> Refusal:
    """A defect is told without a stack trace, which the log has."""
    if isinstance(error, Refusal):
        return error
    log.error("the request could not be answered", exc_info=error)
    return _DEFECT


def _parsed(form: Any, raw: bytes) -> Any:  # noqa: ANN401 - of protobuf
    try:
        return form.FromString(raw)
    except (DecodeError, RecursionError) as error:
        raise Refusal(f"the message is no {form.DESCRIPTOR.name}: {error}") from error


def _described(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": codec.DATATYPES[spec.dtype], "shape": codec.shape_of(spec)}
