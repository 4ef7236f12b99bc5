"""What `fdpipe list converter` says of libraries."""

import subprocess
import sys
from pathlib import Path

import pytest

from fdpipe.cli.needs import Needs, needs_of
from tests.test_cli import fdpipe

CONVERTERS = Path("conf/converter")


def test_installed_packages_have_their_version() -> None:
    found = needs_of("converter", CONVERTERS / "onnx.yaml")
    assert list(found.installed) == ["onnx", "onnxruntime"]
    assert not found.missing
    assert found.words.startswith("onnx 1.")


def test_of_packages_for_the_same_library_one_is_enough() -> None:
    found = needs_of("runtime", Path("conf/runtime/onnxruntime.yaml"))
    assert list(found.installed) == ["onnxruntime"]
    assert not found.missing


def described(folder: Path, text: str) -> Path:
    path = folder / "some.yaml"
    path.write_text(text)
    return path


def test_what_is_not_here_can_be_installed_or_isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fdpipe.cli.needs._version", lambda name: "1" if name == "onnx" else None)
    found = needs_of("converter", CONVERTERS / "tensorflow.yaml")
    assert found.missing == ("tensorflow", "tf2onnx")
    assert found.words == (
        "tensorflow, tf2onnx are not here: pip install 'fdpipe[tensorflow]', or converter.isolation=venv"
    )  # fmt: skip
    runtime = needs_of("runtime", Path("conf/runtime/onnxruntime.yaml"))
    assert runtime.words == "onnxruntime is not here: pip install onnxruntime"


@pytest.mark.parametrize("text", ["", "_target_: fdpipe.converter.nosuch.NoSuch"])
def test_a_file_that_names_no_worker_says_so(tmp_path: Path, text: str) -> None:
    found = needs_of("converter", described(tmp_path, text))
    assert found == Needs({}, install=found.words)
    assert "_target_" in found.words


def test_the_table_and_the_json_have_them() -> None:
    said = fdpipe("list", "converter")
    assert "what it needs" in said.out
    assert "sklearn" in said.out
    listed = fdpipe("list", "converter", "--json").json["converter"]
    assert listed["onnx"]["installed"]["onnx"]  # type: ignore[index]
    assert set(listed["tensorflow"]) == {"about", "installed", "missing", "install"}  # type: ignore[index]


def test_no_library_is_imported_for_it() -> None:
    code = "import sys; from fdpipe.cli import Session, call; call(Session(), ['list', 'converter']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.splitlines()[-1].split())
    assert "fdpipe.converter.xgboost" in imported
    assert not imported & {"torch", "tensorflow", "xgboost", "catboost", "openvino", "onnxruntime", "onnx", "sklearn"}
