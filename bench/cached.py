"""The digits again, when everything is stored: `orchestrator=none deployer=dry_run`."""

import os
import tempfile
from pathlib import Path

from bench.common import FDPIPE, PYTHON, Figure, command, figure, interleaved

OVERRIDES = ("model=digits@candidate", "+target=cpu", "orchestrator=none", "deployer=dry_run", "benchmark=quick")

MLFLOW = "from mlflow.tracking import MlflowClient; MlflowClient().get_model_version_by_alias('digits', 'candidate')"
"""What MLflow needs of the time: its import, that of its SQLite store, and one question to it."""


def measure() -> list[Figure]:
    """The whole command beside what MLflow alone takes of it."""
    with tempfile.TemporaryDirectory() as folder:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_", "BENTOML_"))
        }
        home = Path(folder)
        env = inherited | {"FDPIPE_HOME": folder, "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"}
        command(FDPIPE, "train", "digits", env=env)()
        works = {
            "run": command(FDPIPE, "run", *OVERRIDES, env=env),
            "mlflow": command(PYTHON, "-c", MLFLOW, env=env),
            "import": command(PYTHON, "-c", "import mlflow", env=env),
            "empty": command(PYTHON, "-c", "pass"),
        }
        taken = interleaved(works, runs=7)
    mlflow = [one - nothing for one, nothing in zip(taken["mlflow"], taken["empty"], strict=True)]
    rest = [whole - one for whole, one in zip(taken["run"], mlflow, strict=True)]
    return [
        figure("the whole command", taken["run"]),
        figure("`import mlflow` alone", taken["import"]),
        figure("MLflow: its imports and one question to its SQLite registry", mlflow),
        figure("everything but MLflow", rest, limit=0.5),
    ]
