"""Small real models for tests: saved as MLflow saves them, alone or in an embedded registry."""

import functools
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fdpipe.arrays import save_arrays
from fdpipe.artifacts import LABELS, ModelRef, Rows, SourceModel
from fdpipe.content import tree_digest
from fdpipe.mlmodel import describe

PIP = ["scikit-learn"]
TRUSTED = ["numpy.dtype"]


def ref_of(folder: Path, name: str = "tiny") -> ModelRef:
    """A reference to the files of the folder."""
    return ModelRef(name=name, version="1", uri=f"models:/{name}/1", digest=tree_digest(folder))


def saved_sklearn(folder: Path, estimator: object, features: Any, **settings: Any) -> SourceModel:  # noqa: ANN401
    """The estimator in MLflow's sklearn flavour, with a signature from the features unless one is given."""
    import mlflow.sklearn
    from mlflow.models import infer_signature

    settings.setdefault("signature", infer_signature(features))
    settings.setdefault("skops_trusted_types", TRUSTED)
    mlflow.sklearn.save_model(estimator, str(folder), pip_requirements=PIP, **settings)
    return describe(ref_of(folder), folder)


def saved_onnx(folder: Path, model: Any, **settings: Any) -> SourceModel:  # noqa: ANN401 - a ModelProto
    """The ONNX model in MLflow's onnx flavour."""
    import mlflow.onnx

    mlflow.onnx.save_model(model, str(folder), pip_requirements=["onnx"], **settings)
    return describe(ref_of(folder), folder)


def two_inputs(first_axis: int | str = "n", weights: int = 3) -> Any:  # noqa: ANN401 - a ModelProto
    """y = a · w + b, of the inputs a (rows, weights) and b (rows, 2)."""
    from onnx import TensorProto, helper, numpy_helper

    w = np.arange(weights * 2, dtype=np.float32).reshape(weights, 2) / weights
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "w"], ["aw"]), helper.make_node("Add", ["aw", "b"], ["y"])],
        "two",
        [
            helper.make_tensor_value_info("a", TensorProto.FLOAT, [first_axis, weights]),
            helper.make_tensor_value_info("b", TensorProto.FLOAT, [first_axis, 2]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [first_axis, 2])],
        [numpy_helper.from_array(w, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def people(rows: int = 60, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """A data frame with strings, missing numbers and missing (empty) strings, and a label that depends on them."""
    random = np.random.default_rng(seed)
    city = random.choice(["Ulm", "Köln", ""], rows)
    age = np.where(random.random(rows) < 0.2, np.nan, random.uniform(18, 90, rows).round(1))
    children = random.integers(0, 4, rows)
    frame = pd.DataFrame({"age": age, "home town": city, "children": children})
    label = np.where((city == "Ulm") | (children > 2), "yes", "no")
    return frame, label


def people_model(frame: pd.DataFrame, label: np.ndarray) -> Any:  # noqa: ANN401 - an estimator has no type of its own
    """A pipeline that imputes, scales and encodes by column name."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age"]),
        (OneHotEncoder(handle_unknown="ignore"), ["home town"]),
        ("passthrough", ["children"]),
    )
    return make_pipeline(columns, LogisticRegression()).fit(frame, label)


def rows_of(folder: Path, features: Any, labels: np.ndarray | None = None) -> Rows:  # noqa: ANN401 - a frame or arrays
    """The features as fetched evaluation rows."""
    folder.mkdir(exist_ok=True)
    arrays = {str(name): np.asarray(features[name]) for name in features}
    count = len(next(iter(arrays.values())))
    digest = save_arrays(folder / "rows.npz", {**arrays, **({} if labels is None else {LABELS: labels})})
    return Rows(role="evaluation", path=folder / "rows.npz", digest=digest, count=count, labelled=labels is not None)


def new_registry(folder: Path) -> str:
    """The URI of an embedded registry below the folder; its empty database is made once, which takes seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mlflow.db").write_bytes(_empty_database())
    return f"sqlite:///{folder / 'mlflow.db'}"


@functools.cache
def _empty_database() -> bytes:
    from mlflow.tracking import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        MlflowClient(tracking_uri=uri, registry_uri=uri).search_registered_models()
        return Path(folder, "mlflow.db").read_bytes()


def register(
    uri: str, name: str, log: Callable[[], Any], aliases: tuple[str, ...] = (), artifacts: tuple[Path, ...] = ()
) -> str:
    """A new version of the model that `log` logs, with these aliases; the run has these artifacts. The version."""
    import mlflow
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    mlflow.set_tracking_uri(uri)
    try:
        found = client.get_experiment_by_name("tests")
        where = (Path(uri.removeprefix("sqlite:///")).parent / "artifacts").as_uri()
        experiment = found.experiment_id if found else client.create_experiment("tests", artifact_location=where)
        with mlflow.start_run(experiment_id=experiment) as run:
            info = log()
            for path in artifacts:
                client.log_artifact(run.info.run_id, str(path))
        if not client.search_registered_models(f"name='{name}'"):
            client.create_registered_model(name)
        version = client.create_model_version(name, info.model_uri, run_id=run.info.run_id, model_id=info.model_id).version
        for alias in aliases:
            client.set_registered_model_alias(name, alias, version)
    finally:
        mlflow.set_tracking_uri(None)
    return str(version)


def logged_people() -> Any:  # noqa: ANN401 - a ModelInfo
    """Log the pipeline on people in the run under way."""
    import mlflow.sklearn
    from mlflow.models import infer_signature

    frame, label = people()
    model = people_model(frame, label)
    signature = infer_signature(frame.astype({"children": float}), model.predict(frame))
    return mlflow.sklearn.log_model(model, name="model", signature=signature, pip_requirements=PIP, skops_trusted_types=TRUSTED)


def logged_two_inputs() -> Any:  # noqa: ANN401 - a ModelInfo
    """Log the ONNX model of two inputs in the run under way."""
    import mlflow.onnx
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    floats = np.dtype(np.float32)
    signature = ModelSignature(
        inputs=Schema([TensorSpec(floats, (-1, 3), "a"), TensorSpec(floats, (-1, -1), "b")]),
        outputs=Schema([TensorSpec(floats, (-1, 2))]),
    )
    return mlflow.onnx.log_model(two_inputs(), name="model", signature=signature, pip_requirements=["onnx"])
