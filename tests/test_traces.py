"""What a run leaves on the disk: everything in the state folder, nothing anywhere else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PLACES = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "TMPDIR")
QUICK = ["benchmark=quick", "recipe=[none]", "deployer=dry_run"]


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """An empty folder for each place where libraries like to write, and a project."""
    found = {name: tmp_path / name.lower() for name in (*PLACES, "project")}
    for folder in found.values():
        folder.mkdir()
    shutil.copytree(
        Path(__file__).parents[1] / "registry/diabetes",
        found["project"] / "registry/diabetes",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return found


def test_a_run_writes_only_into_the_state_folder(places: dict[str, Path]) -> None:
    """Training, MLflow, ONNX Runtime, a temporary Prefect server, BentoML's build and its service."""
    environment = {name: str(places[name]) for name in PLACES} | {"PATH": os.environ["PATH"]}
    before = files_of(places)
    for command in (["train", "diabetes"], ["run", "model=diabetes@candidate", "+target=cpu", *QUICK]):
        done = subprocess.run(
            [Path(sys.executable).parent / "fdpipe", *command],
            cwd=places["project"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
    assert files_of(places) - before == set()
    state = places["project"] / ".fdpipe"
    assert {"mlflow", "prefect", "store", "runs"} <= {path.name for path in state.iterdir()}


def files_of(places: dict[str, Path]) -> set[str]:
    """Everything below the places, but for the state folder."""
    state = places["project"] / ".fdpipe"
    return {str(path) for place in places.values() for path in place.rglob("*") if not path.is_relative_to(state)}
