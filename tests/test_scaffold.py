"""`fdpipe init`: what it writes can be installed, and its worker is found by name."""

import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
import yaml

from fdpipe import __version__
from fdpipe.errors import ConfigError
from fdpipe.scaffold import create

SITE = next(path for path in map(Path, sys.path) if path.name == "site-packages")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("somewhere") / "My Models"
    create(folder)
    return folder


@pytest.fixture(scope="module")
def python(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the project installed, beside the libraries of this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder)
    (folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages" / "these.pth").write_text(
        f"import site; site.addsitedir({str(SITE)!r})\n"
    )
    found = folder / "bin" / "python"
    install = [
        str(found),
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--disable-pip-version-check",
        str(project),
    ]
    subprocess.run(install, check=True)
    return found


def fdpipe(python: Path, project: Path, *words: str) -> str:
    code = "from fdpipe.cli import main; main()"
    return subprocess.run([python, "-c", code, *words], cwd=project, capture_output=True, text=True, check=True).stdout


def test_the_project_has_the_shape_of_ours(project: Path) -> None:
    files = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    assert files >= {
        ".gitignore",
        "Makefile",
        "README.md",
        "conf/config.yaml",
        "flows/__init__.py",
        "pyproject.toml",
        "registry/digits/model.yaml",
        "registry/digits/train.py",
    }
    assert {"workers/metric/worst_class.py", "conf/metric/worst_class.yaml", "tests/metric/test_worst_class.py"} <= files
    assert not any("__pycache__" in name for name in files)


def test_it_is_named_after_its_folder_and_asks_for_this_fdpipe(project: Path) -> None:
    described = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    assert described["name"] == "my-models"
    assert described["dependencies"] == [f"fdpipe~={__version__}"]
    assert described["entry-points"]["fdpipe.plugins"] == {"workers": "workers"}
    assert "PROJECT_NAME" not in (project / "README.md").read_text()


def test_nothing_is_overwritten(project: Path) -> None:
    before = (project / "README.md").read_bytes()
    with pytest.raises(ConfigError, match="not empty"):
        create(project)
    assert (project / "README.md").read_bytes() == before


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="not empty"):
        create(tmp_path / "file")


def test_its_worker_is_chosen_by_name(python: Path, project: Path) -> None:
    shown = fdpipe(python, project, "run", "metric=[accuracy,worst_class]", "metric.worst_class.min_rows=7", "--cfg", "job")
    assert yaml.safe_load(shown)["metric"]["worst_class"] == {
        "_target_": "workers.metric.worst_class.WorstClass",
        "min_rows": 7,
    }
    assert "worst_class" in fdpipe(python, project, "list", "metric")


def test_its_settings_hold_for_every_run(python: Path, project: Path) -> None:
    with (project / "conf" / "config.yaml").open("a") as stream:
        stream.write("benchmark: {seed: 123}\n")
    assert yaml.safe_load(fdpipe(python, project, "run", "--cfg", "job"))["benchmark"]["seed"] == 123


def test_its_own_tests_pass(python: Path, project: Path) -> None:
    done = subprocess.run([python, "-m", "pytest", "-q"], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
