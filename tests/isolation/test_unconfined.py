"""A machine that cannot confine a process: what holds no code still runs, what does is refused, and doctor says it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fdpipe.artifacts import ModelRef, SourceModel
from fdpipe.errors import FdpipeError
from fdpipe.isolation import opened
from fdpipe.plan import Conversion, Isolation
from fdpipe.testing import FakeModel, HarmfulConverter
from fdpipe.testing.converter import Moment
from tests.isolation.conftest import ROWS, mentioning

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not shutil.which("unshare"), reason="needs util-linux's unshare")


def unconfined(*command: str) -> str:
    """What the command prints where no further namespace may be made."""
    script = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
    whole = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh", sys.executable, *command]
    return subprocess.run(whole, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT).stdout


def tried(folder: Path, **settings: Any) -> str:  # noqa: ANN401 - a converter's
    """`answered`, or the error, of an original whose converter has these settings."""
    (folder / "model").mkdir()
    (folder / "scratch").mkdir()
    FakeModel().save(folder / "model" / "model.json")
    return unconfined("-m", __name__, str(folder), json.dumps(settings)).strip()


def test_what_holds_no_code_runs(tmp_path: Path) -> None:
    assert tried(tmp_path, harm="say") == "answered"


def test_code_is_refused_though_it_is_trusted(tmp_path: Path) -> None:
    target = tmp_path / "outside"
    found = tried(tmp_path, harm="write", target=str(target), at=Moment.LOAD, code="a pickle")
    assert found == (
        "ConversionError: tiny holds code, a pickle, and this machine cannot isolate it (no network namespace (see "
        "user.max_user_namespaces)): only formats that hold no code are converted here, fdpipe doctor says more"
    )
    assert not target.exists()


def test_in_process_it_runs(tmp_path: Path) -> None:
    assert tried(tmp_path, harm="say", code="a pickle", target=Isolation.IN_PROCESS).endswith("answered")


def test_still_nothing_is_written_outside_and_nobody_left(tmp_path: Path) -> None:
    assert tried(tmp_path, harm="write", target=str(tmp_path / "outside")).startswith("ConversionError: PermissionError")
    assert not (tmp_path / "outside").exists()


def test_still_no_grandchild_is_left(tmp_path: Path) -> None:
    word = f"left-behind-{tmp_path.name}"
    assert tried(tmp_path, harm="leave_behind", target=word) == "answered"
    assert mentioning(word) == []


def test_still_memory_is_watched(tmp_path: Path) -> None:
    assert "took more than 1 GiB of memory" in tried(tmp_path, harm="eat_together", target="12")


def test_doctor_says_it() -> None:
    said = unconfined("-c", "from fdpipe.cli import doctor; print(*(one.text for one in doctor.examine()))")
    assert "not isolated: no network namespace" in " ".join(said.split())


if __name__ == "__main__":
    where, given = Path(sys.argv[1]), json.loads(sys.argv[2])
    reference = ModelRef(name="tiny", version="1", uri="", digest="")
    fake = SourceModel(
        ref=reference, flavour="fake", serialization="fake", inputs=(), outputs=(), columns=False, path=where / "model",
        digest="", trusted=True,
    )  # fmt: skip
    kind = Isolation.IN_PROCESS if given.get("target") == Isolation.IN_PROCESS else Isolation.PROCESS
    try:
        with opened(HarmfulConverter(**given), fake, Conversion(isolation=kind, memory_gib=1), where / "scratch") as original:
            original.predict(ROWS)
        sys.stdout.write("answered\n")
    except FdpipeError as error:
        sys.stdout.write(f"{type(error).__name__}: {error}\n")
