"""package: the chosen candidate as a Bento, with its manifest, golden requests and the evidence for it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from fdpipe import shipment, sizing, workers
from fdpipe.access import EVERYONE
from fdpipe.arrays import Batch, save_arrays
from fdpipe.artifacts import (
    GOLDEN_ANSWER,
    Artifact,
    Baseline,
    Data,
    Manifest,
    Mark,
    Measured,
    Release,
    SourceModel,
    TensorSpec,
    Trial,
    Verdict,
    WorkerSpec,
)
from fdpipe.content import fingerprint, from_json, to_json
from fdpipe.errors import StageError
from fdpipe.interfaces import Monitor, Processor, Runtime
from fdpipe.plan import Plan
from fdpipe.stages import carried
from fdpipe.stages.golden import golden_rows
from fdpipe.store import stage

SERVING = "fdpipe.serving"
SERVE_TIME = (
    "bentoml", "cachetools", "grpcio", "grpcio-health-checking", "grpcio-reflection", "httptools", "msgspec", "numpy",
    "prometheus-client", "protobuf", "psutil", "purgatory", "pydantic", "redis", "starlette", "uvicorn", "uvloop",
)  # fmt: skip
"""The distributions that the serving code itself uses; the workers add theirs."""

SERVICE_PY = '''"""The service of one release: release/release.json says which. Written by fdpipe."""

from pathlib import Path

from {serving} import build_service

service = build_service(Path(__file__).parent / "release")
'''

_PLUGIN_METADATA = "Metadata-Version: 2.1\nName: fdpipe-carried-plugins\nVersion: 0\n"
_BUILD_LIMIT_S = 300
_BUILD = "import json, sys, bentoml; bentoml.build(**json.loads(sys.argv[1]))"
"""`bentoml build` refuses a bentofile below a hidden folder, as `.fdpipe` is."""


@dataclass(frozen=True, kw_only=True)
class ReleaseOrder:
    """What a release is besides its model. `code` digests the serving code, `requirements` are versions by distribution."""

    service: str
    target: str
    runtime: Runtime
    monitors: Mapping[str, Monitor]
    max_body_mib: float
    golden_requests: int
    sizes: sizing.Wishes = sizing.Wishes()
    code: str
    requirements: Mapping[str, str]


def order(plan: Plan, trial: Trial, baseline: Baseline) -> ReleaseOrder:
    """The order for a trial of this plan, with the code and the versions that are installed now."""
    runtime = plan.runtime[trial.candidate.runtime]
    beside = (*plan.monitor.values(), workers.build_spec(baseline.processor))
    packages = [name for worker in beside for name in getattr(type(worker), "packages", ())]
    packages += carried.packages_of(runtime, trial.artifact) if trial.artifact is not None else type(runtime).packages
    return ReleaseOrder(
        service=plan.service_name,
        target=plan.target.name,
        runtime=runtime,
        monitors=plan.monitor,
        max_body_mib=plan.service.max_body_mib,
        golden_requests=plan.service.golden_requests,
        sizes=sizing.Wishes.of(plan.service),
        code=shipment.source_digest(shipment.reached([SERVING])),
        requirements=shipment.pinned([*SERVE_TIME, *packages]),
    )


@stage()
def package(
    folder: Path,
    order: ReleaseOrder,
    model: SourceModel,
    baseline: Baseline,
    chosen: Trial,
    data: Data,
    measured: Measured,
    verdict: Verdict,
) -> Release:
    """The Bento in `folder`. Its digest covers all that decides an answer: the model's bytes, the processor, the runtime,
    the session, the sizes, the code and the versions; not the evidence, which holds timings."""
    if chosen.artifact is None or (chosen.evaluation is None and not chosen.unmeasured):
        raise StageError(f"{chosen.candidate.name} has no model to ship: {chosen.reason}")
    context = folder / "context"
    release = context / "release"
    release.mkdir(parents=True)
    code = _carry(order, baseline.processor, chosen.artifact, context)
    artifact = _copy_model(chosen.artifact, release / "model")
    processor = _copy_files(baseline.processor, release / "processor")
    batchable = is_batchable(chosen, verdict)
    golden = golden_rows(order.golden_requests, order.runtime, model, baseline, chosen, data, batchable)
    manifest = _manifest(order, model, baseline, processor, chosen, artifact, golden, data)
    traffic = sizing.traffic(order.sizes, measured, chosen.candidate, batchable=batchable)
    manifest = replace(manifest, batchable=batchable, traffic=traffic)
    manifest = from_json(to_json(manifest, release), Manifest, release)  # as the service will read it, and compare its digest
    manifest = replace(manifest, digest=fingerprint(manifest, code))
    save_arrays(release / "golden.npz", golden)
    (release / "release.json").write_bytes(to_json(manifest, release))
    (release / "evidence.json").write_bytes(_evidence(baseline, chosen, measured, verdict, order))
    bento = _build(folder, context, manifest, order)
    inside = bento / "src" / "release"
    return Release(
        service=order.service,
        model=model.ref,
        target=order.target,
        candidate=chosen.candidate,
        digest=manifest.digest,
        path=bento,
        manifest=inside / "release.json",
        golden=inside / "golden.npz",
        artifact=replace(artifact, path=inside / artifact.path.relative_to(release)),
        processor=replace(processor, folder=inside / "processor" if processor.folder else None),
        runtime=manifest.runtime,
        task=baseline.task,
    )


def _carry(order: ReleaseOrder, processor: WorkerSpec, artifact: Artifact, context: Path) -> str:
    """Copy the source files that the service reaches, and write service.py; their digest."""
    named = [processor, *(workers.spec("monitor", one) for one in order.monitors.values())]
    modules = [str(spec.settings[workers.TARGET]).rpartition(".")[0] for spec in named]
    modules += carried.modules_of(order.runtime, artifact)
    files = shipment.reached([SERVING, *modules])
    for path, file in files.items():
        (context / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, context / path)
    (context / "service.py").write_text(SERVICE_PY.format(serving=SERVING))
    _declare_plugins({path.partition("/")[0] for path in files} - {"fdpipe"}, context)
    return shipment.source_digest(files)


def _declare_plugins(packages: set[str], context: Path) -> None:
    """Where the service runs, the plug-ins are carried and not installed: declare them, so that their workers are trusted."""
    if packages:
        folder = context / "fdpipe_carried_plugins-0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(_PLUGIN_METADATA)
        points = "".join(f"{name} = {name}\n" for name in sorted(packages))
        (folder / "entry_points.txt").write_text(f"[fdpipe.plugins]\n{points}")


def _copy_model(artifact: Artifact, target: Path) -> Artifact:
    """The same artifact below `target`, with all that lies beside it."""
    shutil.copytree(artifact.folder, target)
    return replace(artifact, path=target / artifact.path.relative_to(artifact.folder))


def _copy_files(processor: WorkerSpec, target: Path) -> WorkerSpec:
    """The same processor with its files, if it has some, below `target`."""
    if processor.folder is None:
        return processor
    shutil.copytree(processor.folder, target)
    return replace(processor, folder=target)


def is_batchable(chosen: Trial, verdict: Verdict) -> bool:
    """Whether rows of several requests may be computed together: no check let it through with the mark against that."""
    return all(one.mark is not Mark.UNBATCHABLE for one in verdict.of(chosen.candidate.name))


def _manifest(
    order: ReleaseOrder,
    model: SourceModel,
    baseline: Baseline,
    processor: WorkerSpec,
    chosen: Trial,
    artifact: Artifact,
    golden: Batch,
    data: Data,
) -> Manifest:
    """All but the digest."""
    answers = {name.removeprefix(GOLDEN_ANSWER): array for name, array in golden.items() if name.startswith(GOLDEN_ANSWER)}
    return Manifest(
        service=order.service,
        digest="",
        model=model.ref,
        target=order.target,
        candidate=chosen.candidate,
        task=baseline.task,
        artifact=artifact,
        processor=processor,
        runtime=workers.spec("runtime", order.runtime),
        monitors={name: workers.spec("monitor", one) for name, one in order.monitors.items()},
        inputs=model.inputs,
        answers=tuple(_described(name, array, artifact.outputs) for name, array in answers.items()),
        input_ranges=_input_ranges(baseline, chosen, data),
        timeout_s=order.sizes.timeout_s,
        max_body_mib=order.max_body_mib,
        versions=order.requirements,
    )


def _described(name: str, answer: np.ndarray, outputs: Sequence[TensorSpec]) -> TensorSpec:
    """An axis is symbolic where that of the model's own output of this name is: a few answers do not show it."""
    dtype = "string" if answer.dtype.kind in "OUS" else answer.dtype.name
    own = next((one.shape for one in outputs if one.name == name and len(one.shape) == answer.ndim), answer.shape)
    axes = (axis if isinstance(axis, str) else size for axis, size in zip(own[1:], answer.shape[1:], strict=True))
    return TensorSpec(name=name, dtype=dtype, shape=("rows", *axes))


def _input_ranges(baseline: Baseline, chosen: Trial, data: Data) -> Mapping[str, tuple[float, float]]:
    """The graph inputs' ranges that the candidate was calibrated with or, for one that was not, those of the same rows."""
    if chosen.ranges is not None:
        return chosen.ranges.inputs
    if data.calibration is None:
        return {}
    processor: Processor = workers.build_spec(baseline.processor)
    tensors = processor.prepare(data.calibration.load().features)
    numbers = {name: array[np.isfinite(array)] for name, array in tensors.items() if array.dtype.kind in "fiu"}
    return {name: (float(array.min()), float(array.max())) for name, array in numbers.items() if array.size}


def _evidence(baseline: Baseline, chosen: Trial, measured: Measured, verdict: Verdict, order: ReleaseOrder) -> bytes:
    """Why this candidate was released, for people and auditors; paths only by their last name."""
    found = {
        "parity": baseline.parity,
        "evaluation": chosen.evaluation,
        "measurement": measured.of(chosen.candidate.name),
        "machine": measured.machine,
        "verdict": verdict,
        "versions": order.requirements,
    }
    return msgspec.json.format(msgspec.json.encode(found, enc_hook=_name_of), indent=1)


def _name_of(value: Any) -> str:  # noqa: ANN401 - whatever JSON does not know
    if isinstance(value, Path):
        return value.name
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _build(folder: Path, context: Path, manifest: Manifest, order: ReleaseOrder) -> Path:
    """Have BentoML build it, in a process and a BentoML home of its own; nothing but the Bento's folder stays."""
    home = folder / "home"
    packages = [f"{name}=={version}" for name, version in order.requirements.items() if name != "bentoml"]  # it adds itself
    version = manifest.digest[:12]
    settings = {
        "service": "service:service",
        "name": order.service,
        "labels": {"model": manifest.model.name, "version": manifest.model.version, "target": order.target},
        "description": f"{order.service}: {manifest.model.name} version {manifest.model.version}, {manifest.candidate.name}",
        "python": {"packages": packages, "lock_packages": False},
        "version": version,
        "build_ctx": str(context),
    }
    environment = os.environ | EVERYONE.environment()  # the build imports the service
    environment |= {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "true", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", _BUILD, msgspec.json.encode(settings).decode()]
    try:
        done = subprocess.run(
            command, env=environment, cwd=context, capture_output=True, text=True, timeout=_BUILD_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise StageError(f"bentoml build was not done after {_BUILD_LIMIT_S} s") from error
    if done.returncode != 0:
        raise StageError(f"bentoml build failed: {' / '.join((done.stderr or done.stdout).strip().splitlines()[-3:])}")
    bento = folder / "bento"
    (home / "bentos" / order.service / version).rename(bento)
    shutil.rmtree(home)
    shutil.rmtree(context)
    return bento
