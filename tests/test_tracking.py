"""MLflow's client: its database is made once, and its messages keep no secret."""

import subprocess
import sys
from pathlib import Path

import pytest

from fdpipe.errors import SourceError
from fdpipe.source.mlflow import Mlflow
from fdpipe.tracking import connect, connect_existing, discreet, shown

CONNECT = "from fdpipe.tracking import connect; print(connect().search_registered_models())"


@pytest.fixture(autouse=True)
def _state(home: Path) -> None:
    """An embedded registry of its own."""


def test_processes_that_begin_together_make_one_database(home: Path) -> None:
    together = [
        subprocess.Popen([sys.executable, "-c", CONNECT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in together:
        said, told = process.communicate(timeout=300)
        assert (process.returncode, said.strip()) == (0, "[]"), told
    assert [file.name for file in (home / "mlflow").iterdir()] == ["mlflow.db"]


def test_an_embedded_registry_is_found_again_wherever_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FDPIPE_HOME", str(tmp_path / "a b%20é"))
    with pytest.raises(SourceError, match="no model is registered"):
        connect_existing()
    connect().create_registered_model("one")
    assert [model.name for model in connect_existing().search_registered_models()] == ["one"]


@pytest.mark.parametrize(
    ("uri", "without"),
    [
        ("http://user:s3cret@host:5000", "http://host:5000"),
        ("postgresql://user:s3@cret/x@host/db", "postgresql://host/db"),
        ("https://host/path", "https://host/path"),
    ],
)
def test_user_and_password_are_never_shown(uri: str, without: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert shown() == without
    assert discreet(f"cannot reach '{uri}' for digits@candidate") == f"cannot reach '{without}' for digits@candidate"


@pytest.mark.parametrize(
    "uri", ["foo://user:s3cret@host", "http://us er:s3cret@bad host/", "mysql+nosuchdriver://u:s3cret@h/db"]
)
def test_what_a_library_says_is_one_line_without_them(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(SourceError) as caught:
        Mlflow().resolve("digits@candidate")
    assert "s3cret" not in str(caught.value)
