"""Models of an MLflow registry: its own SQLite and folder, or any server that MLFLOW_TRACKING_URI names."""

import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fdpipe.artifacts import ModelRef, SourceModel
from fdpipe.content import tree_digest
from fdpipe.errors import SourceError
from fdpipe.mlmodel import describe
from fdpipe.quarantine import refuse_links
from fdpipe.tracking import connect_existing, files_at, shown, told

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

REFERENCE = re.compile(r"(?:models:/)?(?P<name>[^/@:]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))?")
TRIES = 5


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
