"""Breast cancer, malignant or benign, from 30 measurements of a cell nucleus: a random forest on a data frame."""

import mlflow
from mlflow.models import infer_signature
from mlflow.models.model import ModelInfo
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from fdpipe.training import log_rows


def train() -> ModelInfo:
    """Train on 269 patients; 200 others evaluate and 100 calibrate."""
    features, label = load_breast_cancer(return_X_y=True, as_frame=True)
    fitted, held, fitted_label, held_label = train_test_split(features, label, test_size=300, stratify=label, random_state=0)
    evaluation, calibration, evaluation_label, calibration_label = train_test_split(
        held, held_label, test_size=100, stratify=held_label, random_state=0
    )
    log_rows("evaluation", evaluation, evaluation_label)
    log_rows("calibration", calibration, calibration_label)

    model = RandomForestClassifier(n_estimators=200, random_state=0)
    model.fit(fitted, fitted_label)
    mlflow.log_metric("accuracy", model.score(evaluation, evaluation_label))
    return mlflow.sklearn.log_model(
        model,
        name="model",
        signature=infer_signature(fitted, model.predict(fitted)),
        pip_requirements=["scikit-learn", "pandas"],
    )
