"""Samples of the default environment: scikit-learn, the boosting libraries, ONNX, OpenVINO, statsmodels."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from bench.formats.samples import Arrays, Samples, columns, described, digits, pinned, tensors

SAMPLES = Samples()

SKLEARN = ("scikit-learn",)


def cancer() -> tuple[Any, Any]:
    """The bundled breast cancer data as a data frame, and the diagnosis."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer(as_frame=True)
    return bunch.data, bunch.target


def diabetes() -> tuple[Any, Any]:
    """The bundled diabetes data as a data frame, and the progression."""
    from sklearn.datasets import load_diabetes

    bunch = load_diabetes(as_frame=True)
    return bunch.data, bunch.target


def log(flavour: str, estimator: object, folder: Path, frame: Any, *packages: str, **settings: Any) -> Arrays:  # noqa: ANN401
    """In this flavour of MLflow, with the frame's columns as signature."""
    import importlib

    from mlflow.models import infer_signature

    settings.setdefault("signature", infer_signature(frame))
    save = importlib.import_module(f"mlflow.{flavour}").save_model
    save(estimator, str(folder), pip_requirements=pinned(*packages), **settings)
    return columns(frame)


@SAMPLES.add("scikit-learn", "pipeline, skops", *SKLEARN, "skops")
def sklearn_skops(folder: Path) -> Arrays:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame, label = cancer()
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, label)
    return log("sklearn", model, folder, frame, *SKLEARN, "skops", skops_trusted_types=["numpy.dtype"])


@SAMPLES.add("scikit-learn", "random forest, cloudpickle", *SKLEARN, trusted=True)
def sklearn_cloudpickle(folder: Path) -> Arrays:
    from sklearn.ensemble import RandomForestRegressor

    frame, value = diabetes()
    model = RandomForestRegressor(30, random_state=0).fit(frame, value)
    return log("sklearn", model, folder, frame, *SKLEARN, "cloudpickle", serialization_format="cloudpickle")


@SAMPLES.add("scikit-learn", "column transformer with strings and gaps, skops", *SKLEARN, "skops")
def sklearn_columns(folder: Path) -> Arrays:
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame, label = cancer()
    frame = frame.iloc[:, :4].assign(size=["small" if area < 550 else "large" for area in frame["mean area"]])
    gaps = np.random.default_rng(0).random(len(frame)) < 0.1
    frame.loc[gaps, "mean radius"] = np.nan
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    first = make_column_transformer((numbers, list(frame.columns[:4])), (OneHotEncoder(handle_unknown="ignore"), ["size"]))
    model = make_pipeline(first, LogisticRegression()).fit(frame, label)
    return log("sklearn", model, folder, frame, *SKLEARN, "skops", skops_trusted_types=["numpy.dtype"])


@SAMPLES.add("scikit-learn", "nearest neighbours on digits, cloudpickle", *SKLEARN, trusted=True)
def sklearn_neighbours(folder: Path) -> Arrays:
    import pandas as pd
    from sklearn.neighbors import KNeighborsClassifier

    images, label = digits()
    frame = pd.DataFrame(images.reshape(-1, 64) * 16, columns=[f"p{number}" for number in range(64)])
    model = KNeighborsClassifier().fit(frame, label)
    return log("sklearn", model, folder, frame, *SKLEARN, "cloudpickle", serialization_format="cloudpickle")


XGBOOST = ("xgboost", "xgboost-cpu")


@SAMPLES.add("XGBoost", "classifier, ubj", *XGBOOST)
def xgboost_ubj(folder: Path) -> Arrays:
    import xgboost

    frame, label = cancer()
    model = xgboost.XGBClassifier(n_estimators=30, n_jobs=1).fit(frame, label)
    return log("xgboost", model, folder, frame, *XGBOOST, "scikit-learn")


@SAMPLES.add("XGBoost", "regressor, json", *XGBOOST)
def xgboost_json(folder: Path) -> Arrays:
    import xgboost

    frame, value = diabetes()
    model = xgboost.XGBRegressor(n_estimators=30, n_jobs=1).fit(frame, value)
    return log("xgboost", model, folder, frame, *XGBOOST, "scikit-learn", model_format="json")


@SAMPLES.add("XGBoost", "booster (ranking), ubj", *XGBOOST)
def xgboost_booster(folder: Path) -> Arrays:
    import xgboost

    frame, value = diabetes()
    rows = xgboost.DMatrix(frame, (value > 150).astype(int), group=[200, len(frame) - 200])
    model = xgboost.train({"objective": "rank:pairwise", "nthread": 1}, rows, 20)
    return log("xgboost", model, folder, frame, *XGBOOST)


LIGHTGBM = ("lightgbm",)


@SAMPLES.add("LightGBM", "classifier, skops", *LIGHTGBM)
def lightgbm_skops(folder: Path) -> Arrays:
    import lightgbm

    frame, label = cancer()
    frame.columns = [name.replace(" ", "_") for name in frame]
    model = lightgbm.LGBMClassifier(n_estimators=30, n_jobs=1, verbose=-1).fit(frame, label)
    types = ["collections.OrderedDict", "lightgbm.basic.Booster", "lightgbm.sklearn.LGBMClassifier"]
    return log("lightgbm", model, folder, frame, *LIGHTGBM, "scikit-learn", "skops",
               serialization_format="skops", skops_trusted_types=types)  # fmt: skip


@SAMPLES.add("LightGBM", "classifier, cloudpickle", *LIGHTGBM, trusted=True)
def lightgbm_cloudpickle(folder: Path) -> Arrays:
    import lightgbm

    frame, label = cancer()
    frame.columns = [name.replace(" ", "_") for name in frame]
    model = lightgbm.LGBMClassifier(n_estimators=30, n_jobs=1, verbose=-1).fit(frame, label)
    return log("lightgbm", model, folder, frame, *LIGHTGBM, "scikit-learn", "cloudpickle", serialization_format="cloudpickle")


@SAMPLES.add("LightGBM", "booster, text", *LIGHTGBM)
def lightgbm_booster(folder: Path) -> Arrays:
    import lightgbm

    frame, value = diabetes()
    model = lightgbm.train({"verbose": -1, "num_threads": 1}, lightgbm.Dataset(frame, value), 30)
    return log("lightgbm", model, folder, frame, *LIGHTGBM)


@SAMPLES.add("CatBoost", "classifier, cbm", "catboost")
def catboost_classifier(folder: Path) -> Arrays:
    import catboost

    frame, label = cancer()
    model = catboost.CatBoostClassifier(iterations=30, thread_count=1, verbose=False, allow_writing_files=False)
    return log("catboost", model.fit(frame, label), folder, frame, "catboost")


@SAMPLES.add("CatBoost", "regressor, cbm", "catboost")
def catboost_regressor(folder: Path) -> Arrays:
    import catboost

    frame, value = diabetes()
    model = catboost.CatBoostRegressor(iterations=30, thread_count=1, verbose=False, allow_writing_files=False)
    return log("catboost", model.fit(frame, value), folder, frame, "catboost")


def perceptron() -> tuple[Any, np.ndarray]:
    """A small network of scikit-learn's, trained on digits, as ONNX; and rows."""
    from skl2onnx import to_onnx
    from sklearn.neural_network import MLPClassifier

    images, label = digits()
    rows = images.reshape(-1, 64)
    trained = MLPClassifier((32,), max_iter=60, random_state=0).fit(rows, label)
    return to_onnx(trained, rows[:1], options={"zipmap": False}, target_opset=15), rows


@SAMPLES.add("ONNX", "one file", "onnx", "onnxruntime")
def onnx_file(folder: Path) -> Arrays:
    import mlflow.onnx

    graph, rows = perceptron()
    mlflow.onnx.save_model(graph, str(folder), signature=tensors({"X": rows}), pip_requirements=pinned("onnx", "onnxruntime"))
    return {"X": rows}


@SAMPLES.add("OpenVINO", "xml and bin", "openvino", runtime="openvino")
def openvino_files(folder: Path) -> Arrays:
    import openvino
    from onnx import TensorProto, helper, numpy_helper

    images, label = digits()
    rows = images.reshape(-1, 64)
    from sklearn.linear_model import LogisticRegression

    trained = LogisticRegression(max_iter=200).fit(rows, label)
    nodes = [
        helper.make_node("Gemm", ["pixels", "weights", "bias"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["rows", 64])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 10])],
        [
            numpy_helper.from_array(trained.coef_.T.astype(np.float32), "weights"),
            numpy_helper.from_array(trained.intercept_.astype(np.float32), "bias"),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    folder.mkdir()
    read = openvino.Core().read_model(made.SerializeToString())
    openvino.save_model(read, folder / "model.xml", compress_to_fp16=False)
    described(folder, "openvino", {"pixels": rows}, pinned("openvino"), model="model.xml")
    return {"pixels": rows}


@SAMPLES.add("statsmodels", "least squares, pickle, served as it is", "statsmodels", trusted=True, runtime="pyfunc")
def statsmodels_pyfunc(folder: Path) -> Arrays:
    import statsmodels.api
    from mlflow.models import infer_signature

    frame, value = diabetes()
    frame = frame[["age", "bmi", "bp"]]
    fitted = statsmodels.api.OLS(value, frame).fit()
    signature = infer_signature(frame, fitted.predict(frame))
    return log("statsmodels", fitted, folder, frame, "statsmodels", "pandas", "mlflow", signature=signature)


if __name__ == "__main__":
    sys.exit(SAMPLES.main(sys.argv[1:]))
