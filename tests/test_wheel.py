"""The wheel: what is in it and, installed in an empty environment, a new project's line."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from fdpipe import bento

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


def test_it_carries_what_is_not_code(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "fdpipe/conf/config.yaml",
        "fdpipe/conf/target/cpu.yaml",
        "fdpipe/templates/project/pyproject.toml",
        "fdpipe/templates/registry/digits/train.py",
        "fdpipe/templates/flows/deployments.py",
        "fdpipe/py.typed",
    } <= names
    tops = {name.partition("/")[0] for name in names}
    assert {name for name in tops if not name.endswith(".dist-info")} == {"fdpipe"}


@pytest.mark.slow
def test_a_new_project_runs_its_line_with_it(wheel: Path, tmp_path: Path) -> None:
    """init → install → train → run with the project's own worker → the service answers → stop."""
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FDPIPE_", "MLFLOW_", "COVERAGE_"))}

    def call(*words: str, cwd: Path = tmp_path) -> str:
        command = [str(environment / "bin" / words[0]), *words[1:]]
        done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    call("python", "-m", "pip", "install", "-q", "-r", str(ROOT / "requirements.lock"))
    call("python", "-m", "pip", "install", "-q", "--no-deps", str(wheel))
    project = tmp_path / "project"
    call("fdpipe", "init", str(project))
    call("python", "-m", "pip", "install", "-q", "--no-deps", "-e", str(project))
    call("fdpipe", "train", "digits", cwd=project)
    port = bento.free_port("127.0.0.1", 20000 + os.getpid() % 10000)
    overrides = ("metric=[accuracy,worst_class]", "orchestrator=none", "benchmark=quick", f"service.port={port}")
    try:
        result = json.loads(call("fdpipe", "run", *overrides, "--json", cwd=project))
        answer = json.loads(subprocess.check_output(result["curl"], shell=True))
        assert answer["label"] == result["expected"]["label"]
        report = Path(result["report"]).read_text()
        assert "worst_class" in report
        assert Path(result["report"]).is_relative_to(project / ".fdpipe")
    finally:
        call("fdpipe", "stop", cwd=project)
