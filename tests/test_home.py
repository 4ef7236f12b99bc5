"""The state folder, and the environment that keeps libraries inside it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdpipe import home as module
from fdpipe.errors import ConfigError, StoreError
from fdpipe.home import open_home, settle_environment


@pytest.fixture
def environment(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty HOME; what a test settles is undone after it."""
    before = dict(os.environ)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "MLFLOW_", "BENTOML_", "MPLCONFIGDIR"))]:
        monkeypatch.delenv(name)
    yield home
    os.environ.clear()
    os.environ.update(before)
    tempfile.tempdir = None


def test_by_default_it_is_below_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FDPIPE_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert module.home() == tmp_path / ".fdpipe"
    assert not module.home().exists()


def test_it_is_made_with_its_schema_and_ignored_by_git(home: Path) -> None:
    assert open_home() == home
    assert (home / "schema").read_text() == "1"
    assert (home / ".gitignore").read_text() == "*\n"
    assert open_home() == home


def test_another_schema_is_refused(home: Path) -> None:
    open_home()
    (home / "schema").write_text("99")
    with pytest.raises(ConfigError, match="schema '99'"):
        open_home()


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FDPIPE_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(StoreError, match=r"Not a directory.*set FDPIPE_HOME"):
        open_home()


def test_many_processes_may_open_it_first(home: Path) -> None:
    script = "from fdpipe.home import open_home; open_home()"
    processes = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4


def test_every_library_is_pointed_inside(environment: Path) -> None:
    settle_environment()
    inside = ("PREFECT_HOME", "BENTOML_HOME", "MLFLOW_TRACKING_URI", "MPLCONFIGDIR", "TMPDIR", "FDPIPE_HOME")
    assert all(str(environment) in os.environ[name] for name in inside)
    assert os.environ["DO_NOT_TRACK"] == "true"
    assert tempfile.gettempdir() == str(environment / "tmp")


def test_what_the_user_has_set_is_kept(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://registry")
    monkeypatch.setenv("PREFECT_HOME", "/elsewhere")
    settle_environment()
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://registry"
    assert os.environ["PREFECT_HOME"] == "/elsewhere"


@pytest.mark.parametrize(
    ("profiles", "moved"),
    [
        ('active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "http://127.0.0.1:4200/api"\n', False),
        ('active = "ephemeral"\n[profiles.ephemeral]\nPREFECT_SERVER_ALLOW_EPHEMERAL_MODE = "true"\n', True),
        ("not toml", True),
    ],
)
def test_a_prefect_profile_that_names_a_server_is_kept(environment: Path, tmp_path: Path, profiles: str, moved: bool) -> None:
    (tmp_path / "user/.prefect").mkdir(parents=True)
    (tmp_path / "user/.prefect/profiles.toml").write_text(profiles)
    settle_environment()
    assert ("PREFECT_HOME" in os.environ) is moved


def test_the_state_folder_is_named_absolutely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FDPIPE_HOME", "state")
    settle_environment()
    assert os.environ["FDPIPE_HOME"] == str(tmp_path / "state")


def test_a_state_folder_that_became_read_only_is_one_line(home: Path) -> None:
    open_home()
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(home)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("a file system can be mounted only by root, and not in every container")
    try:
        open_home()
        subprocess.run(["mount", "-o", "remount,ro", str(home)], check=True)
        with pytest.raises(StoreError, match=r"cannot be written \(it is read-only\): set FDPIPE_HOME"):
            open_home()
    finally:
        subprocess.run(["umount", "--lazy", str(home)], check=True)
