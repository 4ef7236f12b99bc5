"""deploy: make the release the running service, and tell the registry."""

import math
import re
from collections.abc import Mapping
from pathlib import Path

from fdpipe import progress
from fdpipe.artifacts import Appraisal, CheckResult, Deployment, Measured, ModelRef, Proof, Record, Release, Trial
from fdpipe.errors import SourceError
from fdpipe.interfaces import Archive, Deployer, Source
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


def appraise(source: Source, ref: ModelRef, appraisal: Appraisal) -> None:
    """Keep the verdict with its figures and files beside the version, where the registry keeps such things. One that cannot be
    written now does not undo what was decided: it is noted."""
    if not isinstance(source, Archive):
        return
    with progress.step("appraise") as step:
        try:
            step.detail = source.appraise(ref, appraisal)
        except SourceError as error:
            progress.note(f"the registry keeps no evaluation of this run: {error}")


def appraisal_of(record: Record, run: str, files: tuple[Path, ...]) -> Appraisal:
    """What a registry keeps of a run: the figures of the released candidate or, of a refusal, of the baseline, which shows what
    was refused first."""
    name = record.release.candidate.name if record.release else record.measured.baseline
    trial = next((one for one in record.trials if one.candidate.name == name), record.trials[0])
    results = record.verdict.of(trial.candidate.name)
    reason = record.rejection.reason if record.rejection else record.verdict.reason
    found = _quality(trial) | _speed(record.measured, trial) | _checks(results)
    for one in record.stress.get(trial.candidate.name, ()):
        found |= {f"{one.corruption}.{metric}": value for metric, value in one.quality.items()}
    outcome = record.rejection.outcome if record.rejection else record.verdict.outcome
    return Appraisal(
        run=run,
        target=record.target,
        verdict=outcome.value,
        figures={
            re.sub(r"[^\w\-. :/]", "_", name): float(value)
            for name, value in found.items()
            if value is not None and math.isfinite(value)
        },
        settings={
            "candidate": trial.candidate.name,
            "baseline": record.measured.baseline,
            "release": record.release.digest if record.release else "",
            "reason": reason,
            **{f"check.{one.check}": one.outcome.value for one in results},
        },
        rows_digest=record.data.evaluation.digest,
        files=files,
    )


def _quality(trial: Trial) -> dict[str, float | None]:
    found = trial.evaluation
    if found is None:
        return {}
    return dict(found.quality) | {f"original.{name}": value for name, value in found.reference.items()}


def _speed(measured: Measured, trial: Trial) -> dict[str, float | None]:
    """Its time beside the baseline's, and what its smallest call takes."""
    own, ratio = measured.of(trial.candidate.name), measured.overall(trial.candidate.name)
    if own is None or not own.timings:
        return {}
    first = own.timings[0]
    beside = {"time_ratio": ratio.middle, "time_ratio.low": ratio.low, "time_ratio.high": ratio.high} if ratio else {}
    return beside | {
        "p50_ms": first.p50_ms,
        "p99_ms": first.p99_ms,
        "rows_per_s": max(timing.rows_per_s for timing in own.timings),
        "peak_rss_mib": own.peak_rss_mib,
        "size_bytes": float(own.size_bytes),
    }


def _checks(results: tuple[CheckResult, ...]) -> dict[str, float | None]:
    return {f"check.{result.check}": result.figure for result in results}


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
