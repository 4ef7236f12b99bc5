"""Handwritten digits, 8×8 pixels each: a multi-layer perceptron wide enough for its precision to matter."""

import mlflow
import numpy as np
from mlflow.models import ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.types import Schema, TensorSpec
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from fdpipe.training import log_rows

SIGNATURE = ModelSignature(
    inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, 64), "pixels")]),
    outputs=Schema([TensorSpec(np.dtype(np.int64), (-1,), "label")]),
)


def train() -> ModelInfo:
    """Train on half of the images; the other half calibrates and evaluates."""
    pixels, label = load_digits(return_X_y=True)
    pixels = pixels.astype(np.float32)
    fitted, held, fitted_label, held_label = train_test_split(pixels, label, test_size=0.5, stratify=label, random_state=0)
    evaluation, calibration, evaluation_label, calibration_label = train_test_split(
        held, held_label, test_size=0.25, stratify=held_label, random_state=0
    )
    log_rows("evaluation", {"pixels": evaluation}, evaluation_label)
    log_rows("calibration", {"pixels": calibration}, calibration_label)

    model = make_pipeline(MinMaxScaler(), MLPClassifier((512, 512), tol=1e-3, random_state=0))
    model.fit(fitted, fitted_label)
    mlflow.log_metric("accuracy", model.score(evaluation, evaluation_label))
    return mlflow.sklearn.log_model(
        model,
        name="model",
        signature=SIGNATURE,
        pip_requirements=["scikit-learn"],
        skops_trusted_types=["sklearn.neural_network._stochastic_optimizers.AdamOptimizer"],
    )
