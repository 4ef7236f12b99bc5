"""MLflow's client: quiet, kept inside the state folder, its failures told in one line; and its files where they lie."""

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from fdpipe.errors import SourceError
from fdpipe.home import settle_environment

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

SQLITE = "sqlite:///"
AUTOFLUSH = "(raised as a result of Query-invoked autoflush"
"""What SQLAlchemy may put before the database's own words."""


def address(tracking_uri: str = "") -> str:
    """The tracking URI: the one given, or else the environment's, which is below the state folder by default."""
    settle_environment()
    return tracking_uri or os.environ["MLFLOW_TRACKING_URI"]


def shown(tracking_uri: str = "") -> str:
    """The tracking URI for messages, without user and password, which may themselves hold an @ or a slash."""
    return _without_user(address(tracking_uri))


def discreet(text: str) -> str:
    """A text for people, as a library's message, without the user and password of any URL in it."""
    own = os.environ.get("MLFLOW_TRACKING_URI", "")
    return re.sub(r"(?<=://)[^\s'\"]*@", "", text.replace(own, _without_user(own)) if own else text)


def _without_user(uri: str) -> str:
    return re.sub(r"(?<=://).*@", "", uri)


def connect(tracking_uri: str = "") -> "MlflowClient":
    """A client of the registry; MLflow's chatter about its database is not for users."""
    where = address(tracking_uri)
    from mlflow.tracking import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with told(f"the registry {shown(where)} cannot be opened"):
        if (database := _database(where)) is not None and not database.exists() and database.parent.is_dir():
            _make_database(database)
        return MlflowClient(tracking_uri=where, registry_uri=where)


def connect_existing(tracking_uri: str = "") -> "MlflowClient":
    """The same, but an SQLite database that is not there is an error and is not made."""
    where = address(tracking_uri)
    if (database := _database(where)) is not None and not database.exists():
        raise SourceError(
            f"no model is registered in {where} yet: `fdpipe train NAME` registers one, or set MLFLOW_TRACKING_URI"
        )
    return connect(tracking_uri)


def _database(uri: str) -> Path | None:
    """The file of an SQLite registry, whose name SQLAlchemy takes as it stands."""
    return Path(uri.removeprefix(SQLITE).partition("?")[0]) if uri.startswith(SQLITE) else None


def _make_database(path: Path) -> None:
    """A new registry's database, whole or not at all: MLflow makes its tables in some fifty steps, at which two processes
    would disturb each other, and of which a killed one would leave half."""
    from mlflow.tracking import MlflowClient

    with tempfile.TemporaryDirectory(dir=path.parent, prefix="new-") as folder:
        made = Path(folder) / path.name
        MlflowClient(tracking_uri=f"{SQLITE}{made}", registry_uri=f"{SQLITE}{made}")
        with suppress(FileExistsError):
            os.link(made, path)


@contextmanager
def told(doing: str) -> Iterator[None]:
    """Turn what MLflow, its database and its server raise in the block into a `SourceError` of one line."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        line = next((line for line in discreet(str(error)).strip().split("\n") if not line.startswith(AUTOFLUSH)), "")
        raise SourceError(f"{doing}: {line.rpartition('(Caused by ')[2][:400]}") from error


@contextmanager
def files_at(uri: str, tracking_uri: str) -> Iterator[Path]:
    """A file or folder of an artifact store: where it lies, or for a remote one a copy that is dropped afterwards."""
    local = _local_path(uri)
    if local is not None:
        if not local.exists():
            raise SourceError(f"{uri} is not there")
        yield local
        return
    from mlflow.artifacts import download_artifacts

    folder = Path(tempfile.mkdtemp(prefix="mlflow-"))
    try:
        with told(f"{uri} cannot be downloaded"):
            found = download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=address(tracking_uri))
        yield Path(found)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _local_path(uri: str) -> Path | None:
    if uri.startswith("file:"):
        return Path(unquote(urlsplit(uri).path))
    return None if "://" in uri or uri.startswith("mlflow-artifacts:") else Path(uri)
