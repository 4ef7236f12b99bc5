"""Diabetes, its progression in a year, from age, sex and blood values: a regressor behind its own preprocessing."""

import mlflow
from mlflow.models import infer_signature
from mlflow.models.model import ModelInfo
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fdpipe.training import log_rows


def train() -> ModelInfo:
    """Train on 242 patients; 150 others evaluate and 50 calibrate."""
    features, progression = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    features["sex"] = features["sex"].map({1.0: "female", 2.0: "male"})
    fitted, held, fitted_value, held_value = train_test_split(features, progression, test_size=200, random_state=0)
    evaluation, calibration, evaluation_value, calibration_value = train_test_split(
        held, held_value, test_size=50, random_state=0
    )
    log_rows("evaluation", evaluation, evaluation_value)
    log_rows("calibration", calibration, calibration_value)

    numbers = [name for name in features if name != "sex"]
    columns = make_column_transformer((StandardScaler(), numbers), (OneHotEncoder(), ["sex"]))
    model = make_pipeline(columns, Ridge())
    model.fit(fitted, fitted_value)
    mlflow.log_metric("rmse", root_mean_squared_error(evaluation_value, model.predict(evaluation)))
    return mlflow.sklearn.log_model(
        model,
        name="model",
        signature=infer_signature(fitted, model.predict(fitted)),
        pip_requirements=["scikit-learn", "pandas"],
    )
