"""`fdpipe train`: run a project's own training, register what it logged, and give it the alias that is watched."""

import importlib.util
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from fdpipe import progress
from fdpipe.arrays import save_arrays
from fdpipe.errors import ConfigError, FdpipeError, SourceError
from fdpipe.home import home
from fdpipe.tracking import SQLITE, address, connect, shown, told

if TYPE_CHECKING:
    from mlflow.models.model import ModelInfo
    from mlflow.tracking import MlflowClient


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A new registered version; `alias` now names it."""

    name: str
    version: str
    alias: str


def train(name: str, project: Path, alias: str = "candidate") -> Trained:
    """Run `registry/<name>/train.py`, whose `train()` logs a model and returns its `ModelInfo`, in a run of the experiment
    `<name>`; register the model and set the alias.

    `ConfigError` where there is no such file or function; `SourceError` where the training fails, with its line.
    """
    file = project / "registry" / name / "train.py"
    if not file.is_file():
        known = ", ".join(sorted(found.parent.name for found in project.glob("registry/*/train.py"))) or "none"
        raise ConfigError(f"there is no registry/{name}/train.py in {project}: there is a training for {known}")
    with progress.step(f"train {name}") as step:
        registry = connect()
        info = _run(file, _experiment(registry, name))
        version = _register(registry, name, info, alias)
        step.detail = f"{name} version {version}, alias {alias}"
    return Trained(name=name, version=version, alias=alias)


def log_rows(role: str, features: Any, labels: Any = None) -> None:  # noqa: ANN401 - a data frame, or arrays by name
    """Log rows as the run's artifact `<role>.npz`: the evaluation, calibration or training rows of this model.

    `features` is a data frame or a mapping of arrays; its strings must not be missing. Without labels, as for embeddings,
    quality is the agreement with the original.
    """
    import mlflow

    arrays = {str(name): np.asarray(features[name]) for name in features}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{role}.npz"
        save_arrays(path, arrays if labels is None else {**arrays, "label": np.asarray(labels)})
        mlflow.log_artifact(str(path))


def _run(file: Path, experiment: str) -> "ModelInfo":
    import mlflow
    from mlflow.models.model import ModelInfo

    mlflow.set_tracking_uri(address())  # the project's code logs where the model is registered
    with _blamed(file):
        function = _function(file, _load(file))
        with mlflow.start_run(experiment_id=experiment):
            info = function()
    if not isinstance(info, ModelInfo):
        raise ConfigError(f"train() in {file} returned {type(info).__name__}: return what mlflow's log_model returned")
    return info


def _load(file: Path) -> ModuleType:
    """The module. A class of its own is pickled whole with the model: who loads that later has not this file."""
    import cloudpickle

    spec = importlib.util.spec_from_file_location(f"registry.{file.parent.name}.train", file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{file} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses, and what is pickled, look for it
    cloudpickle.register_pickle_by_value(module)
    exec(compile(file.read_bytes(), file, "exec"), vars(module))  # as its loader does, but without a __pycache__ beside it
    return module


def _function(file: Path, module: ModuleType) -> Callable[[], object]:
    found = getattr(module, "train", None)
    if not callable(found):
        raise ConfigError(f"{file} defines no train(): it logs a model and returns what mlflow's log_model returned")
    return found  # type: ignore[no-any-return]


@contextmanager
def _blamed(file: Path) -> Iterator[None]:
    """Whatever the project's own code raises is told with the last of its lines that was running."""
    try:
        yield
    except FdpipeError:
        raise
    except (Exception, SystemExit) as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        line = f":{frames[-1].lineno}" if frames else ""
        text = " ".join(str(error).split())[:400]
        raise SourceError(f"the training failed in {file}{line}: {type(error).__name__}: {text}") from error


def _experiment(registry: "MlflowClient", name: str) -> str:
    """The experiment's id; a new one of an embedded registry keeps its artifacts below the state folder."""
    with told(f"the registry {shown()} cannot be used"):
        found = registry.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        here = (home() / "mlflow" / "artifacts" / name).as_uri() if address().startswith(SQLITE) else None
        return str(registry.create_experiment(name, artifact_location=here))


def _register(registry: "MlflowClient", name: str, info: "ModelInfo", alias: str) -> str:
    with told(f"{name} cannot be registered in {shown()}"):
        _make_known(registry, name)
        version = registry.create_model_version(name, info.model_uri, run_id=info.run_id, model_id=info.model_id)
        registry.set_registered_model_alias(name, alias, version.version)
    return str(version.version)


def _make_known(registry: "MlflowClient", name: str) -> None:
    """The registered model, unless it is there or another training has just made it."""
    from mlflow.exceptions import MlflowException

    try:
        registry.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
