"""What the tests of the boosting libraries share: rows, and an original beside its export."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel, Task
from fdpipe.interfaces import Converter
from fdpipe.mlmodel import describe
from fdpipe.processor.none import Plain
from fdpipe.processor.tabular import Tabular
from tests.contracts.converter import ask
from tests.models import ref_of

CANCER: pd.DataFrame = load_breast_cancer(as_frame=True).data
"""30 columns, with spaces in their names."""

MALIGNANT: np.ndarray = load_breast_cancer().target

WINE: pd.DataFrame = load_wine(as_frame=True).data

CULTIVAR: np.ndarray = load_wine().target

DIABETES: pd.DataFrame = load_diabetes(as_frame=True).data

PROGRESSION: np.ndarray = load_diabetes().target


def with_gaps(frame: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """A tenth of the values missing, in every column but the last."""
    gaps = np.random.default_rng(seed).random(frame.shape) < 0.1
    gaps[:, -1] = False
    return frame.mask(gaps)


def columns_of(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """The frame as records."""
    return {str(name): frame[name].to_numpy() for name in frame}


def both(
    converter: Converter, model: SourceModel, features: Batch, folder: Path, precision: Precision = Precision.FLOAT32
) -> tuple[Batch, Batch]:
    """The original's and the export's answers to the features, these put through the model's own processor."""
    original = converter.load(model)
    (folder / "export").mkdir(parents=True)
    export = converter.export(model, original, folder / "export", precision)
    assert [path.name for path in (folder / "export").iterdir()] == ["model.onnx"]
    processor = (Tabular() if model.columns else Plain()).bind(model, export.inputs, folder)
    answers = converter.predict(model, original, features)
    assert list(answers) == [spec.name for spec in export.outputs]
    assert (export.task is Task.CLASSIFICATION) == ("label" in answers)
    return answers, ask(export.path, processor.prepare(features))


def agree(
    converter: Converter, model: SourceModel, features: Batch, folder: Path, precision: Precision = Precision.FLOAT32
) -> Batch:
    """The original's answers, which the export's must equal within what the certificate allows."""
    original, exported = both(converter, model, features, folder, precision)
    for name, ours in original.items():
        assert ours.shape == exported[name].shape
        assert ours.dtype.kind in ("U", exported[name].dtype.kind)
        if name == "label":
            assert ours.tolist() == exported[name].tolist()
        elif name == "probabilities":
            np.testing.assert_allclose(ours, exported[name], rtol=0, atol=1e-5)
        else:
            np.testing.assert_allclose(ours, exported[name], rtol=1e-4, atol=1e-4 * np.abs(ours).mean() / 100)
    return original


def saved(folder: Path, library: str, estimator: object, features: Any, **settings: Any) -> SourceModel:  # noqa: ANN401
    """The estimator in MLflow's flavour for the library, with a signature from the features unless one is given."""
    from mlflow.models import infer_signature

    settings.setdefault("signature", infer_signature(features))
    flavour = importlib.import_module(f"mlflow.{library}")
    flavour.save_model(estimator, str(folder), pip_requirements=[library], **settings)
    return describe(ref_of(folder), folder)


def rewritten(model: SourceModel, old: str, new: str) -> SourceModel:
    """The model with other words in its MLmodel file."""
    path = model.path / "MLmodel"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return describe(model.ref, model.path)


def beside_thresholds(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of the frame, again for each threshold in the exported trees and with the feature set to it, or to the float32
    below or above it, or to the float64 between: where answers part if they ever do."""
    node = next(node for node in onnx.load(path).graph.node if node.op_type == "TreeEnsembleRegressor")
    given = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    nodes = zip(given["nodes_modes"], given["nodes_featureids"], given["nodes_values"], strict=True)
    splits = sorted({(feature, np.float32(value)) for mode, feature, value in nodes if mode != b"LEAF"})
    rows = pd.concat([frame.iloc[np.arange(len(splits)) % len(frame)]] * 5, ignore_index=True)
    for number, (feature, threshold) in enumerate(splits):
        with np.errstate(over="ignore"):
            below, above = np.nextafter(threshold, np.float32(-np.inf)), np.nextafter(threshold, np.float32(np.inf))
        between = (float(threshold) * 3 + float(above)) / 4, (float(threshold) * 3 + float(below)) / 4
        for group, value in enumerate((threshold, below, above, *between)):
            rows.iloc[number + group * len(splits), feature] = float(value)
    return rows
