"""The digits again, when everything is stored: `orchestrator=none deployer=dry_run`."""

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from bench.common import FDPIPE, PYTHON, Figure, command, figure

OVERRIDES = ("model=digits@candidate", "+target=cpu", "orchestrator=none", "deployer=dry_run", "benchmark=quick")

MLFLOW = """
import gc, sys, time
from fdpipe.cli import COLLECT_AFTER, main
gc.set_threshold(COLLECT_AFTER)
started = time.perf_counter()
from mlflow.tracking import MlflowClient
imported = time.perf_counter()
MlflowClient().get_model_version_by_alias("digits", "candidate")
sys.stderr.write(f"{imported - started} {time.perf_counter() - started}\\n")
main()
"""
"""The command in a process that has imported MLflow, and asked its registry once, before: how long that took comes first."""

RUNS = 9


def measure() -> list[Figure]:
    """The whole command, and MLflow's part of the same process."""
    with tempfile.TemporaryDirectory() as folder:
        env = _environment(Path(folder))
        command(FDPIPE, "train", "digits", env=env)()
        command(FDPIPE, "run", *OVERRIDES, env=env)()
        taken = [_run(env) for _ in range(RUNS)]
    wholes, imports, mlflows = zip(*taken, strict=True)
    rests = [whole - mlflow for whole, mlflow in zip(wholes, mlflows, strict=True)]
    return [
        figure("the whole command", wholes),
        figure("of that, `import mlflow.tracking`", imports),
        figure("of that, MLflow: all its imports, and one question to its SQLite registry", mlflows),
        figure("everything but MLflow", rests, limit=0.5),
    ]


def _environment(home: Path) -> dict[str, str]:
    """Nothing of the user's own servers."""
    own = ("PREFECT_", "MLFLOW_", "BENTOML_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return inherited | {"FDPIPE_HOME": str(home), "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"}


def _run(env: Mapping[str, str]) -> tuple[float, float, float]:
    """Seconds: the whole process, MLflow's import, MLflow's import and its store's."""
    started = time.perf_counter()
    words = [PYTHON, "-c", MLFLOW, "run", *OVERRIDES]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
    whole = time.perf_counter() - started
    imported, asked = map(float, done.stderr.splitlines()[-1].split())
    return whole, imported, asked
