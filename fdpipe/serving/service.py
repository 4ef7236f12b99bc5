"""The BentoML service of a release: checked when it is imported, opened in the worker that answers."""

import asyncio
import gc
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bentoml
from pydantic import BaseModel

from fdpipe import lifeline, workers
from fdpipe.artifacts import Manifest
from fdpipe.content import from_json, tree_digest
from fdpipe.interfaces import Monitor, Probe
from fdpipe.serving import oip, typed
from fdpipe.serving.application import Application
from fdpipe.serving.edge import Edge
from fdpipe.serving.figures import Figures
from fdpipe.serving.grpc_listener import GrpcListener
from fdpipe.serving.listener import Listener, wanted_address
from fdpipe.serving.oip_grpc import Methods
from fdpipe.serving.predictor import Predictor

MASTER = "FDPIPE_SERVICE_MASTER"

QUIET = "ORT_DISABLE_TELEMETRY"
"""Set, whoever starts the service, before ONNX Runtime is imported: it would keep a database in the user's home."""

_BACKSTOP_S = 5.0
"""BentoML's own time limit is this much longer than ours, which counts what it cuts off."""


def build_service(folder: Path) -> Any:  # noqa: ANN401 - bentoml has no types
    """The service of the release in `folder`; ends the process with one line where its model is not the released one."""
    os.environ.setdefault(QUIET, "1")
    _bind_to_master()
    manifest = read_manifest(folder)
    predictor = Predictor(manifest)
    probes: list[Probe] = []
    figures = Figures(probes)
    application = Application([*oip.routes(predictor), *typed.routes(predictor)], manifest, figures)
    listener = Listener(application, application.max_bytes)
    grpc_listener = GrpcListener(Methods(predictor, figures), manifest)

    class Release:
        """Answers of the released model; the Open Inference Protocol is below /v2."""

        def __init__(self) -> None:
            predictor.open()
            probes.extend(_started(manifest))
            gc.freeze()

        @bentoml.api(input_spec=typed.input_model(manifest), output_spec=typed.output_model(manifest))  # type: ignore[untyped-decorator]
        async def predict(self, inputs: BaseModel) -> None:
            """Answers by name, one for each row of the inputs."""
            raise NotImplementedError("BentoML documents this, Edge has it answered")

        @bentoml.on_startup  # type: ignore[untyped-decorator]
        async def listen(self) -> None:
            """Open the Open Inference Protocol's own ports, that of gRPC first: who finds the other one ready finds both."""
            if address := wanted_address():
                host, port = address
                await grpc_listener.start(host, port + 1)
                listener.start(host, port)

        @bentoml.on_shutdown  # type: ignore[untyped-decorator]
        async def close(self) -> None:
            """Let the other ports' requests end, then give the model back."""
            await asyncio.gather(listener.stop(), grpc_listener.stop())
            figures.tell()
            predictor.close()

    traffic = {"timeout": manifest.timeout_s + _BACKSTOP_S}
    service = bentoml.service(name=manifest.service, workers=manifest.traffic.workers, traffic=traffic)(Release)
    service.add_asgi_middleware(Edge, application=application)
    return service


def read_manifest(folder: Path) -> Manifest:
    """`release.json`, with the model's files compared to it."""
    manifest = from_json((folder / "release.json").read_bytes(), Manifest, folder)
    model = manifest.artifact
    if tree_digest(model.folder) != model.digest:
        raise SystemExit(f"fdpipe: {model.path.name} of {manifest.service} is not the released one: deploy the release again")
    return manifest


def _started(manifest: Manifest) -> Sequence[Probe]:
    """The monitors, in the registry whose figures BentoML shows at /metrics."""
    from prometheus_client import REGISTRY

    monitors: list[Monitor] = [workers.build_spec(spec) for spec in manifest.monitors.values()]
    return [monitor.start(manifest, REGISTRY) for monitor in monitors]


def _bind_to_master() -> None:
    """BentoML's master imports the service, then starts the workers: let these die with it, whoever started it."""
    if bentoml.server_context.worker_index is None:
        os.environ[MASTER] = str(os.getpid())
    elif MASTER in os.environ:
        lifeline.die_with(int(os.environ[MASTER]))
