"""Environments of models' own requirements: what is installed, from what, once, and what is refused."""

import io
import json
import platform
import shutil
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

from fdpipe.artifacts import SourceModel
from fdpipe.errors import ConfigError, ConversionError, SourceError
from fdpipe.isolation.environments import interpreter
from fdpipe.isolation.requirements import CHILD, needed
from fdpipe.testing import FakeConverter

UV = pytest.param(
    "uv", marks=pytest.mark.skipif(not Path(sys.executable).with_name("uv").exists(), reason="needs uv: make formats")
)


@dataclass(frozen=True, kw_only=True)
class Exporting(FakeConverter):
    """Needs a package of its own."""

    exporter: ClassVar[tuple[str, ...]] = ("exporter>=1",)


def wheel(folder: Path, name: str, version: str) -> None:
    """A distribution with one module, as an index would have it."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in (files | {f"{info}/RECORD": record}).items():
            archive.writestr(path, text)


def source_distribution(folder: Path, name: str, version: str, trace: Path) -> None:
    """A distribution that must be built, which leaves a trace."""
    backend = f"""
        import pathlib, shutil
        def build_wheel(folder, config_settings=None, metadata_directory=None):
            pathlib.Path({str(trace)!r}).write_text("built")
            file = "{name}-{version}-py3-none-any.whl"
            shutil.copy(pathlib.Path({str(trace.parent)!r}, file), folder)
            return file
    """
    wheel(trace.parent, name, version)
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": textwrap.dedent(backend),
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
    }
    with tarfile.open(folder / f"{name}-{version}.tar.gz", "w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))


@pytest.fixture
def index(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of an index, as installers are told to use one; it has all that a child needs."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name, version in {"msgspec": "0.20", "numpy": "2.0", "pyyaml": "6.0", "exporter": "1.1", "framework": "1.0"}.items():
        wheel(folder, name, version)
    wheel(folder, "framework", "2.0")
    for name, value in {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(folder),
        "UV_OFFLINE": "1",
        "UV_FIND_LINKS": str(folder),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    assert home
    return folder


@pytest.fixture
def pinned(model: SourceModel) -> SourceModel:
    """A model of an old framework."""
    (model.path / "requirements.txt").write_text("mlflow==3.17\nframework==1.0  # pinned\n\n")
    return model


def installed(python: str) -> dict[str, str]:
    """What an environment has."""
    code = (
        "import json; from importlib.metadata import distributions; "
        "print(json.dumps({one.name: one.version for one in distributions()}))"
    )
    found = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    return dict(json.loads(found))


@pytest.mark.parametrize("installer", ["pip", UV])
def test_it_has_what_the_model_pins_and_the_exporter_needs(
    index: Path, pinned: SourceModel, home: Path, installer: str
) -> None:
    assert index
    python = interpreter(Exporting(), pinned, installer).executable
    found = installed(python)
    assert {"framework": "1.0", "exporter": "1.1"}.items() <= found.items()
    assert {"msgspec", "numpy", "pyyaml"} <= set(found)
    assert not {"mlflow", "fdpipe", "onnx", "scikit-learn"} & set(found)
    assert Path(python).is_relative_to(home / "environments")


@pytest.mark.parametrize("installer", ["pip", UV])
def test_a_failed_build_names_the_requirement_and_is_not_kept(
    index: Path, model: SourceModel, home: Path, installer: str
) -> None:
    (model.path / "requirements.txt").write_text("framework==1.0\nmissing_package==3.1\n")
    with pytest.raises(
        ConversionError, match=r"^the environment of tiny cannot be built .*because of missing_package==3.1; "
    ) as caught:
        interpreter(FakeConverter(), model, installer)
    (log,) = (home / "environments").glob("*/failed.log")
    assert "\n" not in str(caught.value)
    assert str(log) in str(caught.value)
    assert "3.1" in log.read_text()
    assert list(log.parent.glob("env-*")) == []
    wheel(index, "missing_package", "3.1")
    assert installed(interpreter(FakeConverter(), model, installer).executable)["missing_package"] == "3.1"
    assert not log.exists()


def test_it_is_built_once(index: Path, pinned: SourceModel) -> None:
    first = interpreter(Exporting(), pinned)
    shutil.rmtree(index)
    assert interpreter(Exporting(), pinned) == first
    (pinned.path / "requirements.txt").write_text("# another order, and the same\nframework==1.0")
    assert interpreter(Exporting(), pinned) == first


def test_other_requirements_are_another(index: Path, pinned: SourceModel) -> None:
    assert index
    first = interpreter(FakeConverter(), pinned)
    (pinned.path / "requirements.txt").write_text("framework==2.0")
    second = interpreter(FakeConverter(), pinned)
    assert [installed(one.executable)["framework"] for one in (first, second)] == ["1.0", "2.0"]


def test_those_who_come_together_build_it_once(index: Path, pinned: SourceModel, home: Path) -> None:
    assert index
    with ThreadPoolExecutor(4) as threads:
        found = set(threads.map(lambda _: interpreter(Exporting(), pinned), range(4)))
    assert len(found) == 1
    assert len(list((home / "environments").glob("*/env-*"))) == 1


def test_what_was_left_half_built_is_built_anew(index: Path, pinned: SourceModel, home: Path) -> None:
    first = interpreter(Exporting(), pinned)
    (folder,) = (home / "environments").iterdir()
    (folder / "ready").unlink()
    second = interpreter(Exporting(), pinned)
    assert second != first
    assert not Path(first.executable).exists()
    shutil.rmtree(Path(second.executable).parent)
    assert Path(interpreter(Exporting(), pinned).executable).exists()
    assert index


@pytest.mark.parametrize("installer", ["pip", UV])
def test_nothing_is_built_for_a_model_that_is_not_trusted(
    index: Path, model: SourceModel, tmp_path: Path, installer: str
) -> None:
    (tmp_path / "trace").mkdir()
    source_distribution(index, "unbuilt", "1.0", tmp_path / "trace" / "trace")
    (model.path / "requirements.txt").write_text("unbuilt==1.0\n")
    with pytest.raises(ConversionError, match=r"from wheels, as for any model that is not trusted.*unbuilt"):
        interpreter(FakeConverter(), model, installer)
    assert not (tmp_path / "trace" / "trace").exists()
    found = interpreter(FakeConverter(), replace(model, trusted=True), installer)
    assert installed(found.executable)["unbuilt"] == "1.0"
    assert (tmp_path / "trace" / "trace").exists()


def test_uv_where_there_is_none(pinned: SourceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match=r"converter.installer=uv: there is no uv here"):
        interpreter(FakeConverter(), pinned, "uv")


@pytest.mark.parametrize(
    "line",
    [
        "-r other.txt",
        "-c constraints.txt",
        "--index-url https://example.invalid/simple",
        "--extra-index-url=https://example.invalid/simple",
        "--find-links .",
        "--trusted-host example.invalid",
        "-e .",
        "-e git+https://example.invalid/x.git",
        "git+https://example.invalid/x.git",
        "https://example.invalid/x-1-py3-none-any.whl",
        "framework @ https://example.invalid/x-1-py3-none-any.whl",
        "framework @ file:///tmp/x",
        "./framework",
        "../framework-1.0.tar.gz",
        "/tmp/framework.whl",
        "file:///tmp/x",
        "framework==1.0 --hash=sha256:0",
        "framework==1.0 \\",
        "framework==1.0 --config-settings=x",
        "framework==1.0; import os",
    ],
)
def test_a_line_that_is_more_than_a_name_with_versions_is_refused(
    index: Path, model: SourceModel, home: Path, line: str
) -> None:
    (model.path / "requirements.txt").write_text(f"framework==1.0\n{line}\n")
    with pytest.raises(ConversionError, match=r"only names with versions") as caught:
        interpreter(FakeConverter(), model)
    assert repr(line) in str(caught.value)
    assert not (home / "environments").exists()
    assert index


def test_what_is_needed(pinned: SourceModel) -> None:
    assert needed(Exporting(), pinned) == sorted([*CHILD, "exporter>=1", "framework==1.0"])


def test_mlflow_is_left_out_unless_the_converter_needs_it(model: SourceModel) -> None:
    (model.path / "requirements.txt").write_text("mlflow==3.17.2\nmlflow-skinny[x]==3.17.2\nextra_ml==1\n")

    @dataclass(frozen=True, kw_only=True)
    class Asking(FakeConverter):
        exporter: ClassVar[tuple[str, ...]] = ("mlflow>=2",)

    assert set(needed(FakeConverter(), model)) == {*CHILD, "extra_ml==1"}
    assert set(needed(Asking(), model)) == {*CHILD, "extra_ml==1", "mlflow==3.17.2", "mlflow>=2"}


def test_a_model_without_requirements(model: SourceModel) -> None:
    assert set(needed(Exporting(), model)) == {*CHILD, "exporter>=1"}


def test_another_minor_version_of_python_is_refused(pinned: SourceModel) -> None:
    (pinned.path / "python_env.yaml").write_text("python: 3.8.18\n")
    with pytest.raises(ConversionError) as caught:
        interpreter(FakeConverter(), pinned)
    assert "Python 3.8.18" in str(caught.value)
    assert platform.python_version() in str(caught.value)


def test_the_same_minor_version_is_not(index: Path, pinned: SourceModel) -> None:
    major, minor, _ = platform.python_version_tuple()
    (pinned.path / "python_env.yaml").write_text(f"python: {major}.{minor}.99\n")
    assert installed(interpreter(FakeConverter(), pinned).executable)
    assert index


@pytest.mark.parametrize("content", [b"\xff\xfe", b"{", b"python: [3"])
def test_files_that_cannot_be_read(pinned: SourceModel, content: bytes) -> None:
    (pinned.path / "python_env.yaml").write_bytes(content)
    with pytest.raises(SourceError, match=r"python_env.yaml"):
        interpreter(FakeConverter(), pinned)


def test_requirements_that_are_no_text(model: SourceModel) -> None:
    (model.path / "requirements.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SourceError, match=r"requirements.txt"):
        interpreter(FakeConverter(), model)
