"""deploy: make the release the running service, and tell the registry."""

from collections.abc import Mapping

from fdpipe import progress
from fdpipe.artifacts import Deployment, ModelRef, Proof, Record, Release
from fdpipe.errors import SourceError
from fdpipe.interfaces import Deployer, Source
from fdpipe.plan import ServiceSettings


def deploy(deployer: Deployer, release: Release, proof: Proof, service: ServiceSettings) -> Deployment:
    """The running release; nothing happens where it runs already."""
    with progress.step("deploy") as step:
        deployment = deployer.deploy(release, proof, service.host, service.port)
        step.reused = not deployment.changed
        step.detail = deployment.url or "dry run"
        return deployment


def publish(source: Source, ref: ModelRef, tags: Mapping[str, str], alias: str | None) -> None:
    """Write the verdict back. A registry that cannot be reached now does not undo what was decided: it is noted."""
    with progress.step("publish") as step:
        try:
            source.publish(ref, tags, alias)
            step.detail = f"alias {alias}" if alias else "verdict only"
        except SourceError as error:
            progress.note(f"the registry was not told: {error}")


def tags_of(record: Record) -> dict[str, str]:
    """What the registry is told of a run: verdict, and of a release its digest, figures and, where it is deployed, URL."""
    prefix = f"fdpipe.{record.target}"
    if record.rejection is not None:
        return {f"{prefix}.verdict": record.rejection.outcome.value, f"{prefix}.reason": record.rejection.reason}
    tags = {f"{prefix}.verdict": record.verdict.outcome.value, f"{prefix}.reason": record.verdict.reason}
    release, deployment = record.release, record.deployment
    if release is None:
        return tags
    trial = next(item for item in record.trials if item.candidate == release.candidate)
    quality = trial.evaluation.quality if trial.evaluation else {}
    figures = {f"{prefix}.{name}": f"{value:.6g}" for name, value in quality.items() if value is not None}
    shipped = {
        f"{prefix}.release": release.digest,
        f"{prefix}.candidate": release.candidate.name,
        f"{prefix}.url": deployment.url if deployment else "",
    }
    return tags | figures | shipped
