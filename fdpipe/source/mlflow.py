"""Models of an MLflow registry: its own SQLite and folder, or any server that MLFLOW_TRACKING_URI names."""

import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fdpipe.artifacts import Appraisal, ModelRef, SourceModel
from fdpipe.content import tree_digest
from fdpipe.errors import SourceError
from fdpipe.home import home
from fdpipe.mlmodel import describe
from fdpipe.quarantine import refuse_links
from fdpipe.tracking import SQLITE, address, connect_existing, discreet, files_at, shown, told

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

REFERENCE = re.compile(r"(?:models:/)?(?P<name>[^/@:]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))?")
LOGGED_MODEL = re.compile(r"models:/(m-[0-9a-f]+)")
TRIES = 5
EXPERIMENT = "fdpipe"
"""Where evaluations are kept of versions that no run made."""

ROLE = "evaluation"
DIGEST_LENGTH = 36
"""So many characters MLflow keeps of a data set's digest."""


@dataclass(frozen=True, kw_only=True)
class Mlflow:
    """`tracking_uri` is the registry's; empty: MLFLOW_TRACKING_URI, which is below the state folder by default. `trust` names
    the models whose files may hold code that is run, isolated, while they are converted: pickles and the like."""

    tracking_uri: str = ""
    trust: str | tuple[str, ...] = ()

    def resolve(self, reference: str) -> ModelRef:
        """Pin `name@alias`, `name/version`, `models:/name@alias` or `models:/name/version`."""
        parts = REFERENCE.fullmatch(reference)
        if parts is None:
            raise SourceError(f"model {reference!r} is no reference: write name@alias or name/version")
        registry = connect_existing(self.tracking_uri)
        with told(f"the registry {shown(self.tracking_uri)} cannot say what {reference!r} is"):
            version = _find(registry, parts["name"], parts["alias"], parts["version"])
        if version.status != "READY":
            raise SourceError(f"{version.name} version {version.version} is not ready in the registry: {version.status}")
        with self._files(version.name, version.version) as folder:
            digest = tree_digest(folder)
        return ModelRef(
            name=version.name,
            version=str(version.version),
            uri=f"models:/{version.name}/{version.version}",
            digest=digest,
            run_id=version.run_id or None,
        )

    def download(self, ref: ModelRef, folder: Path) -> SourceModel:
        """Copy the version's files and read their MLmodel."""
        with self._files(ref.name, ref.version) as found:
            shutil.copytree(found, folder)
        trusted = (self.trust,) if isinstance(self.trust, str) else self.trust
        return describe(ref, folder, trusted=ref.name in trusted)

    def publish(self, ref: ModelRef, tags: Mapping[str, str], alias: str | None) -> None:
        """Write the tags, then the alias, which is read again: the registry has no compare-and-swap."""
        registry = connect_existing(self.tracking_uri)
        with told(f"{ref.name} version {ref.version} cannot be marked in {shown(self.tracking_uri)}"):
            for key, value in tags.items():
                _patiently(lambda key=key, value=value: registry.set_model_version_tag(ref.name, ref.version, key, value))  # type: ignore[misc]
            if alias is not None:
                _patiently(lambda: registry.set_registered_model_alias(ref.name, alias, ref.version))
                now = registry.get_model_version_by_alias(ref.name, alias).version
                if str(now) != ref.version:
                    raise SourceError(f"{ref.name}@{alias} was set to version {now} by somebody else at the same time")

    def appraise(self, ref: ModelRef, appraisal: Appraisal) -> str:
        """A finished run beside the version's own, with the figures on the logged model and its data set; the version's tag
        `fdpipe.<target>.evaluation_run` names it. The files come last: where they cannot be kept, the figures are."""
        registry = connect_existing(self.tracking_uri)
        with told(f"{ref.name} version {ref.version} cannot be evaluated in {shown(self.tracking_uri)}"):
            run_id = _log(registry, ref, appraisal, self.tracking_uri)
            tag = f"fdpipe.{appraisal.target}.evaluation_run"
            _patiently(lambda: registry.set_model_version_tag(ref.name, ref.version, tag, run_id))
        for path in appraisal.files:
            try:
                registry.log_artifact(run_id, str(path))
            except Exception as error:  # every artifact store has a library of its own, and each its own errors
                line = discreet(str(error)).strip().partition("\n")[0]
                raise SourceError(f"the evaluation run {run_id} has no {path.name}: {line}") from error
        return run_id

    @contextmanager
    def _files(self, name: str, version: str) -> Iterator[Path]:
        """The version's folder, none of whose links leaves it."""
        registry = connect_existing(self.tracking_uri)
        with told(f"the files of {name} version {version} cannot be found"):
            uri = registry.get_model_version_download_uri(name, version)
        with files_at(uri, self.tracking_uri) as folder:
            refuse_links(folder)
            yield folder


def _find(registry: "MlflowClient", name: str, alias: str | None, version: str | None) -> Any:  # noqa: ANN401 - MLflow's own
    """The registry's entry; a `SourceError` that lists what there is instead."""
    from mlflow.exceptions import MlflowException

    try:
        model = registry.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        known = ", ".join(sorted(item.name for item in registry.search_registered_models(max_results=8))) or "none"
        raise SourceError(f"no model {name!r} is registered; there are: {known}") from error
    if alias is None and version is None:
        raise SourceError(f"model {name!r} needs an alias or a version: write one of {_offer(registry, model)}")
    found = version or model.aliases.get(alias)
    if found is None:
        raise SourceError(f"model {name!r} has no alias {alias!r}; there are: {_offer(registry, model)}")
    try:
        return registry.get_model_version(name, str(found))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise SourceError(f"model {name!r} has no version {found}; there are: {_offer(registry, model)}") from error


def _offer(registry: "MlflowClient", model: Any) -> str:  # noqa: ANN401 - MLflow's own
    """A model's aliases and newest versions, for a message."""
    quoted = model.name.replace("'", "''")
    newest = registry.search_model_versions(f"name='{quoted}'", max_results=8, order_by=["version_number DESC"])
    aliases = [f"{model.name}@{alias}" for alias in sorted(model.aliases)]
    return ", ".join([*aliases, *(f"{model.name}/{item.version}" for item in newest)]) or "no version at all"


def _log(registry: "MlflowClient", ref: ModelRef, appraisal: Appraisal, tracking_uri: str) -> str:
    """A run with the figures and settings; its id. Figures are linked to MLflow's logged model, where the version has one."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput, Metric, Param, RunTag

    model = LOGGED_MODEL.match(registry.get_model_version(ref.name, ref.version).source or "")
    model_id = model[1] if model else None
    digest, now = appraisal.rows_digest[:DIGEST_LENGTH], int(time.time() * 1000)
    tags = {
        "fdpipe.run": appraisal.run, "fdpipe.target": appraisal.target, "fdpipe.verdict": appraisal.verdict,
        "fdpipe.model": f"{ref.name}/{ref.version}",
    }  # fmt: skip
    run = registry.create_run(_experiment(registry, ref, tracking_uri), run_name=f"fdpipe {appraisal.run}", tags=tags)
    run_id = str(run.info.run_id)
    data = Dataset(name=ROLE, digest=digest, source_type="fdpipe", source=appraisal.rows_digest)
    context = InputTag(key="mlflow.data.context", value=ROLE)
    models = [LoggedModelInput(model_id)] if model_id else []
    registry.log_inputs(run_id, datasets=[DatasetInput(data, [context])], models=models)
    metrics = [
        Metric(name, value, now, 0, model_id=model_id, dataset_name=ROLE, dataset_digest=digest, run_id=run_id)
        for name, value in appraisal.figures.items()
    ]
    params = [Param(name, value) for name, value in appraisal.settings.items()]
    registry.log_batch(run_id, metrics=metrics, params=params, tags=[RunTag("fdpipe.rows", appraisal.rows_digest)])
    registry.set_terminated(run_id)
    return run_id


def _experiment(registry: "MlflowClient", ref: ModelRef, tracking_uri: str) -> str:
    """That of the run which made the version; else one of fdpipe's own, whose artifacts lie below the state folder where the
    registry is embedded."""
    from mlflow.exceptions import MlflowException

    if ref.run_id is not None:
        try:
            return str(registry.get_run(ref.run_id).info.experiment_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
    found = registry.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    here = (home() / "mlflow" / "artifacts" / EXPERIMENT).as_uri() if address(tracking_uri).startswith(SQLITE) else None
    return str(registry.create_experiment(EXPERIMENT, artifact_location=here))


def _patiently(write: Callable[[], None]) -> None:
    """Write to the registry; two writers at once make its database refuse one of them, which tries again."""
    from mlflow.exceptions import MlflowException

    for attempt in range(TRIES):
        try:
            write()
            return
        except MlflowException as error:
            if attempt == TRIES - 1 or not any(word in str(error) for word in ("IntegrityError", "locked")):
                raise
            time.sleep(0.05 * 2**attempt)
