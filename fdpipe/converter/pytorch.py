"""PyTorch's modules: exported programs, pickles, TorchScript, and state dicts whose class is declared."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fdpipe import graphs
from fdpipe.arrays import Batch, in_batches, join, rows_in, take
from fdpipe.artifacts import Precision, SourceModel, Task, TensorSpec
from fdpipe.converter._torch_export import errors, export, line, title
from fdpipe.converter._torch_files import STATE_FILE, Form, code_of, file_of, fixed_axes, open_module
from fdpipe.converter._torch_network import Network, answers_of, described, fixed_batch
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.interfaces import Export

if TYPE_CHECKING:
    import torch

BATCH = 256


@dataclass(frozen=True, kw_only=True)
class PyTorch:
    """`model_class` (`package.module.Class`, made with `arguments`) says what a registered state dict belongs to; it is
    imported where the original is isolated, from the model's own code folder or an installed package."""

    model_class: str = ""
    arguments: Mapping[str, int | float | str | bool] = field(default_factory=dict)

    kind: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ("torch", "onnxscript", "onnx", "onnxruntime")
    exporter: ClassVar[tuple[str, ...]] = (
        "torch>=2.2", "onnxscript>=0.5,<0.8", "onnx>=1.17,<1.24", "onnxruntime>=1.20,<1.33", "cloudpickle>=2",
    )  # fmt: skip
    extra: ClassVar[str] = "torch"

    def accepts(self, model: SourceModel) -> bool:
        """MLflow's pytorch flavour, and where a class is declared every model with a file `state_dict.pth`."""
        return model.flavour == "pytorch" or bool(self.model_class and any(model.path.rglob(STATE_FILE)))

    def risk(self, model: SourceModel) -> str | None:
        """A pickle, TorchScript, or modules beside a state dict; a pt2 file is checked before torch loads it."""
        form, _ = file_of(model, bool(self.model_class))
        if form is Form.STATE:
            return "modules of its own" if code_of(model) else None
        return {Form.TORCHSCRIPT: "a TorchScript archive", Form.PICKLE: "a pickle"}.get(form)

    def load(self, model: SourceModel) -> Network:
        """The module, asked once with made-up rows to see what it answers."""
        specs = _specs(model)
        module = open_module(model, self.model_class, self.arguments)
        return described(model, module, specs, fixed_axes(module))

    def export(self, model: SourceModel, original: Network, folder: Path, precision: Precision) -> Export:
        """The module's own answers, called `output` where there is one, or else by their keys or numbers."""
        module, examples = original.module, original.examples
        if precision is Precision.FLOAT64:
            module, examples = _in_double(original)
        path = folder / "model.onnx"
        try:
            export(module, examples, original.outputs, original.axes, path, names=[spec.name for spec in original.specs])
        except ConversionError as error:
            if precision is Precision.FLOAT64:  # ONNX Runtime has no convolution in it, for one
                raise NotApplicable(str(error)) from error
            if original.fixed_rows is not None:
                raise fixed_batch(model, original.fixed_rows) from error
            raise
        inputs, outputs = graphs.specs(path)
        return Export(path=path, task=Task.TENSORS, inputs=inputs, outputs=outputs)

    def predict(self, model: SourceModel, original: Network, features: Batch) -> dict[str, np.ndarray]:
        """The module's answers; one that was saved for so many rows is asked with just as many."""
        arrays = _arrays(model, original, features)
        if original.fixed_rows is None:
            return in_batches(arrays, BATCH, lambda batch: _ask(original, batch))
        rows = rows_in(arrays)
        lacking = [take(arrays, slice(rows - 1, rows))] * (-rows % original.fixed_rows)
        answers = in_batches(join([arrays, *lacking]), original.fixed_rows, lambda batch: _ask(original, batch))
        return take(answers, slice(0, rows))


def _specs(model: SourceModel) -> tuple[TensorSpec, ...]:
    """The module's inputs: the signature's tensors, or all columns side by side, which is how MLflow gives them."""
    if not model.inputs:
        raise ConversionError(f"{model.ref.name} has no signature: log it with signature=infer_signature(features, answers)")
    if text := next((spec for spec in model.inputs if spec.dtype == "string"), None):
        raise ConversionError(f"{text.name!r} of {model.ref.name} is of strings: a torch module takes numbers")
    if model.columns:
        return (TensorSpec(name="input", dtype="float32", shape=("rows", len(model.inputs))),)
    return model.inputs


def _in_double(original: Network) -> tuple["torch.nn.Module", dict[str, "torch.Tensor"]]:
    """A copy of the module and of the examples in float64; `NotApplicable` where the module has floats of its own."""
    examples = {name: one.double() if one.is_floating_point() else one for name, one in original.examples.items()}
    try:
        module = copy.deepcopy(original.module).double()
        answers_of(module, examples)
    except errors() as error:
        raise NotApplicable(f"{title(original.module)} cannot be had in double precision: {line(error)}") from error
    return module, examples


def _arrays(model: SourceModel, original: Network, features: Batch) -> dict[str, np.ndarray]:
    """The features by the names in `forward`, in the signature's types."""
    if model.columns:
        columns = [np.asarray(features[spec.name], np.float32).reshape(-1) for spec in model.inputs]
        return {name: np.stack(columns, axis=1) for name in original.examples}
    pairs = zip(original.examples, original.specs, strict=True)
    return {name: np.asarray(features[spec.name], spec.dtype) for name, spec in pairs}


def _ask(original: Network, batch: Batch) -> dict[str, np.ndarray]:
    import torch

    try:
        answers = answers_of(original.module, {name: torch.from_numpy(np.array(array)) for name, array in batch.items()})
    except errors() as error:
        raise ConversionError(f"the original cannot answer: {line(error)}") from error
    named = zip(original.outputs, answers.values(), strict=True)
    return {name: tensor.numpy() for name, tensor in named if name is not None}
