"""sentence-transformers: a network, what pools its tokens, and what follows, as one graph."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fdpipe import extras, graphs, pretrained
from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel, Task
from fdpipe.converter._torch_export import export
from fdpipe.converter._transformers_tasks import ROWS, SEQUENCE, example_length, example_tokens
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.interfaces import Export

PARTS = ("Transformer", "Pooling", "Dense", "Normalize", "LayerNorm", "Dropout")
"""What a model may be made of, the first of it a `Transformer`."""

ACTIVATIONS = ("torch.nn.modules.activation.", "torch.nn.modules.linear.Identity", "torch.nn.Identity", "torch.nn.Tanh")
"""What a `Dense` may name as its activation: the library imports whatever stands there."""


@dataclass(frozen=True, kw_only=True)
class SentenceTransformers:
    """No settings. The answer is `embedding`, of shape (rows, dimensions)."""

    kind: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = (
        "sentence-transformers", "transformers", "tokenizers", "torch", "onnxscript", "onnx",
    )  # fmt: skip
    exporter: ClassVar[tuple[str, ...]] = (
        "torch>=2.9,<2.15", "onnxscript>=0.7,<0.8", "onnx>=1.17,<1.24", "onnxruntime>=1.20,<1.33",
        "sentence-transformers>=3,<7",
    )  # fmt: skip
    extra: ClassVar[str] = "transformers"

    def accepts(self, model: SourceModel) -> bool:
        """MLflow's sentence_transformers flavour."""
        return model.flavour == pretrained.SENTENCES

    def risk(self, model: SourceModel) -> str | None:
        """Weights in a pickle, or classes of the model's own; safetensors hold no code."""
        foreign = [
            kind for part in pretrained.modules_of(model) if not (kind := _kind(part)).startswith("sentence_transformers.")
        ]
        return f"a class of its own ({foreign[0]})" if foreign else pretrained.code_in(model, _folders(model))

    def load(self, model: SourceModel) -> Any:  # noqa: ANN401 - a SentenceTransformer
        """The library's own model, in float32."""
        _check_parts(model)
        library = extras.require("sentence_transformers", extra="transformers")
        own_code = self.risk(model) is not None
        try:
            # Eager attention: it exports everywhere, and code for a faster one would be fetched if a file named it.
            found = library.SentenceTransformer(
                str(pretrained.sentences_folder(model)),
                device="cpu",
                local_files_only=True,
                trust_remote_code=own_code,
                model_kwargs={"attn_implementation": "eager"} | ({} if own_code else {"use_safetensors": True}),
            )
        except Exception as error:  # of four libraries, each with its own
            raise ConversionError(f"sentence-transformers cannot load {model.ref.name}: {_line(error)}") from error
        return found.float().eval()

    def export(self, model: SourceModel, original: Any, folder: Path, precision: Precision) -> Export:  # noqa: ANN401
        """Inputs `input_ids`, `attention_mask` and, where the network has them, `token_type_ids`; output `embedding`."""
        path = folder / "model.onnx"
        network = original[0].auto_model
        length = example_length(pretrained.token_limit(model))
        inputs = example_tokens(network.config.vocab_size, length, _inputs(original))
        axes = {name: {0: ROWS, 1: SEQUENCE} for name in inputs}
        try:
            export(_whole(original, precision), inputs, ["embedding"], axes, path)
        except ConversionError as error:
            if precision is Precision.FLOAT64:
                raise NotApplicable(f"it has no export in float64: {error}") from error
            raise
        found, answered = graphs.specs(path)
        return Export(path=path, task=Task.TENSORS, inputs=found, outputs=answered)

    def predict(self, model: SourceModel, original: Any, features: Batch) -> dict[str, np.ndarray]:  # noqa: ANN401
        """The library's own `encode`."""
        texts = [str(text) for text in np.ravel(features[model.inputs[0].name])]
        try:
            found = original.encode(texts or [""], convert_to_numpy=True, show_progress_bar=False)
        except Exception as error:  # of four libraries, each with its own
            raise ConversionError(f"the original cannot answer: {_line(error)}") from error
        return {"embedding": np.asarray(found, np.float32)[: len(texts)]}


def _kind(part: Any) -> str:  # noqa: ANN401 - JSON
    return str(part.get("type", ""))


def _folders(model: SourceModel) -> Iterator[Path]:
    """Of all parts."""
    whole = pretrained.sentences_folder(model)
    yield whole
    for part in pretrained.modules_of(model):
        yield pretrained.inside(model, whole / str(part.get("path", "")))


def _check_parts(model: SourceModel) -> None:
    """`ConversionError` for what cannot be exported, and for whatever the library would import because a file names it."""
    name = model.ref.name
    if len(model.inputs) != 1:
        told = "no signature" if not model.inputs else f"{len(model.inputs)} inputs"
        raise ConversionError(f"{name} has {told}: log it with signature=infer_signature(texts, embeddings) of one text a row")
    parts = pretrained.modules_of(model)
    kinds = [_kind(part).rpartition(".")[2] for part in parts]
    own = not all(_kind(part).startswith("sentence_transformers.") for part in parts)
    if not (own and model.trusted) and (kinds[0] != PARTS[0] or set(kinds) - set(PARTS)):
        raise ConversionError(f"{name} is made of {', '.join(kinds)}: those that can be converted are {', '.join(PARTS)}")
    pretrained.check_whole(model, pretrained.network_folder(model))
    whole = pretrained.sentences_folder(model)
    for kind, part in zip(kinds, parts, strict=True):
        settings = pretrained.described(model, whole / str(part.get("path", "")), "config.json")
        activation = str(settings.get("activation_function") or ACTIVATIONS[0])
        if kind == "Dense" and not activation.startswith(ACTIVATIONS):
            raise ConversionError(f"a Dense of {name} has the activation {activation!r}: it must be one of torch's own")
        if kind == "Pooling" and settings.get("include_prompt") is False and pretrained.prompt_of(model):
            raise ConversionError(f"{name} leaves its prompt out of the pooling (include_prompt: false): that is not converted")


def _whole(original: Any, precision: Precision) -> Any:  # noqa: ANN401 - torch modules
    """All parts as one module, which answers with the embedding."""
    import copy

    import torch

    class Whole(torch.nn.Module):  # type: ignore[misc]
        """The parts one after the other, as `SentenceTransformer` runs them."""

        def __init__(self) -> None:
            super().__init__()
            parts = list(copy.deepcopy(original) if precision is Precision.FLOAT64 else original)
            self.parts = torch.nn.ModuleList(parts)
            if precision is Precision.FLOAT64:
                self.parts.double()

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None) -> Any:  # noqa: ANN401
            found = {"input_ids": input_ids, "attention_mask": attention_mask}
            found |= {} if token_type_ids is None else {"token_type_ids": token_type_ids}
            for part in self.parts:
                found = part(found)
            return found["sentence_embedding"].float()

    return Whole().eval()


def _inputs(original: Any) -> list[str]:  # noqa: ANN401 - a SentenceTransformer
    """What the tokenizer gives and the network takes."""
    import inspect

    taken = inspect.signature(original[0].auto_model.forward).parameters
    given = original.tokenizer("a")
    types = "token_type_ids" in given and "token_type_ids" in taken
    return ["input_ids", "attention_mask", *(["token_type_ids"] if types else [])]


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
