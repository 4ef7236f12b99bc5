"""The BentoML service of a release: checked when it is imported, opened in the worker that answers."""

import asyncio
import gc
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import bentoml
from pydantic import BaseModel

from fdpipe import lifeline, workers
from fdpipe.artifacts import Manifest
from fdpipe.content import file_digest, fingerprint, from_json, tree_digest
from fdpipe.interfaces import Monitor, Probe
from fdpipe.serving import invocations, keys, kserve_v1, oip, shared, tls, typed
from fdpipe.serving.application import Application
from fdpipe.serving.connection import Limits
from fdpipe.serving.edge import Edge
from fdpipe.serving.figures import Figures
from fdpipe.serving.grpc_listener import GrpcListener
from fdpipe.serving.keys import Guard
from fdpipe.serving.listener import Listener, wanted_address
from fdpipe.serving.oip_grpc import Methods
from fdpipe.serving.predictor import Predictor
from fdpipe.serving.respawn import watch_workers

MASTER = "FDPIPE_SERVICE_MASTER"

SERVICE_PY = "service.py"
"""What BentoML imports: it names the release and has no code of its own."""

PROTOCOLS = (oip, kserve_v1, invocations, typed)
"""Those over HTTP."""

QUIET = "ORT_DISABLE_TELEMETRY"
"""Set, whoever starts the service, before ONNX Runtime is imported: it would keep a database in the user's home."""

_BACKSTOP_S = 5.0
"""BentoML's own time limit is this much longer than ours, which counts what it cuts off."""


def build_service(folder: Path) -> Any:  # noqa: ANN401 - bentoml has no types
    """The service of the release in `folder`; ends the process with one line where its model is not the released one."""
    os.environ.setdefault(QUIET, "1")
    _bind_to_master()
    manifest = read_manifest(folder)
    known, secured, sharing = keys.from_environment(), tls.from_environment(), _sharing(manifest)
    predictor = Predictor(manifest, sharing)
    probes: list[Probe] = []
    figures = Figures(probes)
    routes = [route for protocol in PROTOCOLS for route in protocol.routes(predictor)]
    application = Application(routes, manifest, figures, predictor.admit)
    guarded = Guard(application, application, known) if known else application
    listener = Listener(guarded, Limits.of(application.max_bytes), secured)
    grpc_listener = GrpcListener(Methods(predictor, figures, known.vet if known else None), manifest)

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

        @bentoml.on_deployment  # type: ignore[untyped-decorator]
        def watch() -> None:
            """Called in the master, before it starts workers."""
            watch_workers(manifest.traffic.workers)

        @bentoml.on_startup  # type: ignore[untyped-decorator]
        async def listen(self) -> None:
            """Open the Open Inference Protocol's own ports, that of gRPC first: who finds the other one ready finds both."""
            if address := wanted_address():
                host, port = address
                await grpc_listener.start(host, port + 1, secured.grpc_credentials() if secured else None)
                listener.start(host, port)

        @bentoml.on_shutdown  # type: ignore[untyped-decorator]
        async def close(self) -> None:
            """Let the other ports' requests end, then give the model back."""
            await asyncio.gather(listener.stop(manifest.timeout_s), grpc_listener.stop(), return_exceptions=True)
            figures.tell()
            if sharing is not None:
                await sharing.close()
            predictor.close()

    traffic = {"timeout": manifest.timeout_s + _BACKSTOP_S}
    service = bentoml.service(name=manifest.service, workers=manifest.traffic.workers, traffic=traffic)(Release)
    service.add_asgi_middleware(Guard, application=application, keys=known)
    service.add_asgi_middleware(Edge, application=application)
    return service


def read_manifest(folder: Path) -> Manifest:
    """`release.json`, with everything that its digest covers compared to it; the process ends where something was changed."""
    manifest = from_json((folder / "release.json").read_bytes(), Manifest, folder)
    if changed := _changed(manifest, folder.parent):
        raise SystemExit(f"fdpipe: {changed} of {manifest.service} is not the released one: deploy the release again")
    return manifest


def _changed(manifest: Manifest, source: Path) -> str:
    """What is not as it was released; empty where all is. `source` has the code, which nothing but the release's own digest
    knows."""
    model, processor = manifest.artifact, manifest.processor
    if tree_digest(model.folder) != model.digest:
        return model.path.name
    if processor.folder is not None and tree_digest(processor.folder) != processor.digest:
        return "a file of the processor"
    files = {path.relative_to(source).as_posix(): file_digest(path) for path in source.rglob("*.py")}
    code = {path: files[path] for path in sorted(files) if path != SERVICE_PY}
    return "" if fingerprint(replace(manifest, digest=""), fingerprint(code)) == manifest.digest else "release.json or the code"


def _started(manifest: Manifest) -> Sequence[Probe]:
    """The monitors, in the registry whose figures BentoML shows at /metrics."""
    from prometheus_client import REGISTRY

    monitors: list[Monitor] = [workers.build_spec(spec) for spec in manifest.monitors.values()]
    return [monitor.start(manifest, REGISTRY) for monitor in monitors]


def _sharing(manifest: Manifest) -> shared.Shared | None:
    """Where answers are kept and the environment names a Redis; its circuit breaker shows among the figures."""
    if not manifest.traffic.cache_mib or bentoml.server_context.worker_index is None:
        return None
    from prometheus_client import Gauge

    text = "1 while the circuit breaker is open: what it stands before fails, and is not asked"
    gauge = Gauge("fdpipe_breaker_open", text, ["name"], multiprocess_mode="mostrecent").labels(shared.NAME)
    found = shared.from_environment(lambda is_open: gauge.set(int(is_open)))
    if found is not None:
        gauge.set(0)
    return found


def _bind_to_master() -> None:
    """BentoML's master imports the service, then starts the workers: let these die with it, whoever started it."""
    if bentoml.server_context.worker_index is None:
        os.environ[MASTER] = str(os.getpid())
    elif MASTER in os.environ:
        lifeline.die_with(int(os.environ[MASTER]))
