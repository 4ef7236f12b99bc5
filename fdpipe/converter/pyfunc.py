"""Any model that MLflow serves, as it is: what cannot become ONNX is served by its own library on the runtime `pyfunc`."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fdpipe import pyfunc
from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.interfaces import Export
from fdpipe.mlmodel import flavour_settings


@dataclass(frozen=True, kw_only=True)
class Pyfunc:
    """No settings. The model's signature must say what it answers: one column is a label or a value by its type, several
    are tensors by their names."""

    kind: ClassVar[str] = "mlflow"
    packages: ClassVar[tuple[str, ...]] = pyfunc.PACKAGES
    exporter: ClassVar[tuple[str, ...]] = pyfunc.EXPORTER
    extra: ClassVar[str] = ""

    def accepts(self, model: SourceModel) -> bool:
        """Every model that MLflow can serve. Only the runtime `pyfunc` opens what it makes, so that it takes a model only
        where that runtime was chosen."""
        return bool(flavour_settings(model.path, "python_function"))

    def risk(self, model: SourceModel) -> str:
        """MLflow loads it by whatever module its MLmodel file names."""
        return pyfunc.RISK

    def load(self, model: SourceModel) -> Any:  # noqa: ANN401 - MLflow's own type
        """MLflow's `PyFuncModel`."""
        return pyfunc.load(model)

    def export(self, model: SourceModel, original: Any, folder: Path, precision: Precision) -> Export:  # noqa: ANN401
        """A copy of the model's folder; `ConversionError` where its signature does not say what goes in and out."""
        if precision is not Precision.FLOAT32:
            raise NotApplicable("the original stays as it is")
        if not model.inputs or not model.outputs:
            raise ConversionError(
                f"the signature of {model.ref.name} does not say what goes in and out, and it is to be served as it is: log it"
                " with signature=infer_signature(features, answers)"
            )
        shutil.copytree(model.path, folder, dirs_exist_ok=True)
        inputs = tuple(replace(spec, shape=("rows", 1)) for spec in model.inputs) if model.columns else model.inputs
        return Export(path=folder, task=pyfunc.task_of(model), inputs=inputs, outputs=model.outputs)

    def predict(self, model: SourceModel, original: Any, features: Batch) -> dict[str, np.ndarray]:  # noqa: ANN401
        """Its own answers."""
        return pyfunc.ask(model, original, features)
