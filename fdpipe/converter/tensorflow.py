"""TensorFlow's SavedModels, of any age: the serving signature as a graph, exported with tf2onnx."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel
from fdpipe.converter import _tensorflow as shared
from fdpipe.converter._exported import EXPORTER, finished, given, in_parts, one_line
from fdpipe.converter._tensorflow import SAVED_MODEL, Function
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.interfaces import Export
from fdpipe.mlmodel import flavour_settings

SERVING = "serving_default"


@dataclass(frozen=True, kw_only=True)
class TensorFlow:
    """No settings. A model without a serving signature is taken where it has one function to call."""

    kind: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ("tensorflow", "tensorflow-cpu", "tf2onnx", "onnx")
    exporter: ClassVar[tuple[str, ...]] = ("tf2onnx>=1.16.1,<1.18", *EXPORTER)
    extra: ClassVar[str] = shared.EXTRA

    def accepts(self, model: SourceModel) -> bool:
        """MLflow's flavours `tensorflow` and `keras`, where they hold a SavedModel."""
        return model.flavour in shared.FLAVOURS and shared.holds_saved_model(model)

    def risk(self, model: SourceModel) -> str | None:
        """A SavedModel is a graph, no code; but a graph may write and read files where it has operators for that."""
        try:
            content = (shared.place_of(model) / SAVED_MODEL).read_bytes()
        except (ConversionError, OSError):
            return None
        found = next((name for name in shared.OUTSIDE if name.encode() in content), None)
        return f"a graph with the operator {found}" if found else None

    def load(self, model: SourceModel) -> Function:
        """The function that a server would call."""
        place = shared.place_of(model)
        tf = shared.tensorflow()
        settings = flavour_settings(model.path, model.flavour)
        tags = settings.get("meta_graph_tags")
        try:
            loaded = tf.saved_model.load(str(place), tags=list(tags) if tags else None)
            return _serving(loaded, settings)
        except shared.failures() as error:
            raise ConversionError(f"TensorFlow cannot load {place.name}: {one_line(error)}") from error

    def export(self, model: SourceModel, original: Function, folder: Path, precision: Precision) -> Export:
        """Inputs and outputs have the signature's own names."""
        if precision is not Precision.FLOAT32:
            raise NotApplicable("a SavedModel is exported in the floats that it has")
        graph, inputs, outputs = original.to_onnx()
        return finished(graph, folder, inputs, outputs)

    def predict(self, model: SourceModel, original: Function, features: Batch) -> dict[str, np.ndarray]:
        """What the function answers."""
        dtypes = [shared.dtype_name(spec.dtype) for spec in original.specs]
        arrays = given(model, features, original.inputs, dtypes)
        try:
            return in_parts(dict(zip(original.inputs, arrays, strict=True)), original.ask)
        except shared.failures() as error:
            raise ConversionError(f"the original cannot answer: {one_line(error)}") from error


def _serving(loaded: Any, settings: Mapping[str, Any]) -> Function:  # noqa: ANN401 - whatever was saved
    signatures = {name: one for name, one in loaded.signatures.items() if not re.match("_|$", name)}
    wanted = str(settings.get("signature_def_key") or SERVING)
    if wanted in signatures:
        return shared.function_of(loaded, signatures[wanted])
    if len(signatures) == 1:
        return shared.function_of(loaded, next(iter(signatures.values())))
    functions = getattr(loaded.__call__, "concrete_functions", []) if callable(loaded) else []
    if not signatures and len(functions) == 1:
        return shared.function_of(loaded, functions[0])
    raise ConversionError(
        f"the SavedModel has no signature {wanted!r}, but {', '.join(signatures) or 'none'}, and {len(functions)} functions to"
        " call: save it with signatures={'serving_default': …}"
    )
