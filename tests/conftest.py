"""What every test gets: a state folder of its own, and libraries that stay inside it."""

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdpipe.progress import Event


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """The environment as it was: `settle_environment` changes it for good, as it should in a program."""
    before, folder = dict(os.environ), tempfile.tempdir
    yield
    os.environ.clear()
    os.environ.update(before)
    tempfile.tempdir = folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh state folder; libraries that read their settings from the environment are pointed at it."""
    folder = tmp_path / "fdpipe-home"
    for name in ("MLFLOW_TRACKING_URI", "BENTOML_HOME", "PREFECT_HOME", "PREFECT_API_URL", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FDPIPE_HOME", str(folder))
    return folder


@pytest.fixture
def events() -> Iterator[list[Event]]:
    """The progress events while the test runs."""
    found: list[Event] = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.event)  # type: ignore[method-assign, attr-defined]
    log = logging.getLogger("fdpipe.progress")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    yield found
    log.removeHandler(handler)
