"""Encoders of Hugging Face's transformers: texts and images → classes, tokens, answers, features."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fdpipe import extras, pretrained
from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel, Task
from fdpipe.converter._transformers_answers import Loaded, answered
from fdpipe.converter._transformers_heads import exportable
from fdpipe.converter._transformers_tasks import ROWS, example_length, example_tokens, export_task
from fdpipe.errors import ConversionError
from fdpipe.interfaces import Export
from fdpipe.mlmodel import flavour_settings

TASKS = (*pretrained.TEXT_TASKS, *pretrained.IMAGE_TASKS)

GENERATION = ("text-generation", "text2text-generation", "summarization", "translation", "image-text-to-text", "any-to-any")

FEATURES = ("first", "mean", "tokens")

KINDS = {"softmax": Task.CLASSIFICATION, "sigmoid": Task.TENSORS, "none": Task.REGRESSION}


@dataclass(frozen=True, kw_only=True)
class Transformers:
    """`features` says what feature extraction gives for a text: those of the `first` token, which MLflow's pyfunc answers,
    the `mean` of its tokens, or those of all `tokens`."""

    kind: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ("transformers", "tokenizers", "torch", "onnxscript", "onnx")
    exporter: ClassVar[tuple[str, ...]] = (
        "torch>=2.9,<2.15", "onnxscript>=0.7,<0.8", "onnx>=1.17,<1.24", "onnxruntime>=1.20,<1.33", "transformers>=4.46,<6",
        "pillow>=10,<14",
    )  # fmt: skip
    extra: ClassVar[str] = "transformers"

    features: str = "first"

    def __post_init__(self) -> None:
        """Choices."""
        if self.features not in FEATURES:
            raise ValueError(f"features must be one of {', '.join(FEATURES)}, got {self.features!r}")

    def accepts(self, model: SourceModel) -> bool:
        """MLflow's transformers flavour, whatever the task: one that cannot be exported is refused with the reason."""
        return model.flavour == pretrained.TRANSFORMERS

    def risk(self, model: SourceModel) -> str | None:
        """Weights in a pickle, or classes of the model's own; safetensors hold no code."""
        return pretrained.code_in(model, _folders(model))

    def load(self, model: SourceModel) -> Loaded:
        """The network in float32, with its tokenizer or image processor."""
        task = _checked_task(model)
        network = _load_network(model, own_code=self.risk(model) is not None)
        if task in pretrained.IMAGE_TASKS:
            return Loaded(task=task, network=network, image_processor=_load_image_processor(model))
        limit = pretrained.token_limit(model)
        return Loaded(task=task, network=network, tokenizer=_load_tokenizer(model, limit), limit=limit, features=self.features)

    def export(self, model: SourceModel, original: Loaded, folder: Path, precision: Precision) -> Export:
        """Outputs are `logits` for classes, `token_label` with its score and place, the best `token` of a gap with its
        score, `start` and `end` of an answer in its context with its score, or `embedding` or `features`."""
        path = folder / "model.onnx"
        if original.image_processor is not None:
            pixels, axes = _example_pixels(original)
            inputs = {"pixel_values": pixels}
            return export_task(original.network, original.task, inputs, path, precision, kind=_kind(original), axes=axes)
        task = f"features-{self.features}" if original.task == "feature-extraction" else original.task
        gap = original.tokenizer.mask_token_id if task == "fill-mask" else 0
        length = example_length(original.limit)
        inputs = example_tokens(_vocabulary(original), length, _inputs(original), gap)
        with exportable(original.network) as network:
            return export_task(network, task, inputs, path, precision, kind=_kind(original), gap=gap)

    def predict(self, model: SourceModel, original: Loaded, features: Batch) -> dict[str, np.ndarray]:
        """transformers' own answers."""
        names = [spec.name for spec in model.inputs]
        if original.task == "question-answering":
            names.sort(key=lambda name: name != "question")
        try:
            return dict(answered(original, {name: [str(text) for text in np.ravel(features[name])] for name in names}))
        except Exception as error:  # of transformers, tokenizers, torch or Pillow
            raise ConversionError(f"the original cannot answer: {_line(error)}") from error


def _checked_task(model: SourceModel) -> str:
    """The model's task; `ConversionError` for one that has no export, and for what a model's folder may lack."""
    task = pretrained.task_of(model)
    if task.startswith(GENERATION):
        raise ConversionError(
            f"{model.ref.name} is for {task}: models that generate step by step are not converted; serve the original on the"
            " runtime pyfunc, or register an encoder"
        )
    if task not in TASKS:
        raise ConversionError(f"{model.ref.name} is for the task {task!r}: those that can be converted are {', '.join(TASKS)}")
    if not model.inputs:
        raise ConversionError(f"{model.ref.name} has no signature: log it with signature=infer_signature(texts, answers)")
    pretrained.check_whole(model, pretrained.network_folder(model))
    return task


def _folders(model: SourceModel) -> Iterator[Path]:
    yield pretrained.network_folder(model)
    yield from sorted(path for path in (model.path / "components").glob("*") if path.is_dir())


def _load_network(model: SourceModel, *, own_code: bool) -> Any:  # noqa: ANN401 - a PreTrainedModel
    """The class that the MLmodel file names, where it is one of transformers' networks, or else by the task."""
    transformers = extras.require("transformers", extra="transformers")
    name = str(flavour_settings(model.path, pretrained.TRANSFORMERS).get("pipeline_model_type", ""))
    found: Any = getattr(transformers, name, None)
    if not (isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)):
        if not own_code:
            raise ConversionError(
                f"{model.ref.name} is a {name!r}, which transformers {transformers.__version__} does not have"
            )
        found = getattr(transformers, AUTO[pretrained.task_of(model)])
    try:
        # Eager attention: it exports everywhere, and code for a faster one would be fetched if a file named it.
        network = found.from_pretrained(
            str(pretrained.network_folder(model)),
            attn_implementation="eager",
            local_files_only=True,
            use_safetensors=None if own_code else True,
            trust_remote_code=own_code,
        )
    except Exception as error:  # whatever the class of the network raises
        raise ConversionError(f"transformers cannot load {model.ref.name}: {_line(error)}") from error
    return network.float().eval()


AUTO = {
    "text-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "fill-mask": "AutoModelForMaskedLM",
    "question-answering": "AutoModelForQuestionAnswering",
    "feature-extraction": "AutoModel",
    "image-classification": "AutoModelForImageClassification",
}


def _load_tokenizer(model: SourceModel, limit: int) -> Any:  # noqa: ANN401 - of transformers
    transformers = extras.require("transformers", extra="transformers")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(pretrained.tokenizer_folder(model)), local_files_only=True)
    except Exception as error:  # whatever the class of the tokenizer raises
        raise ConversionError(f"transformers cannot load the tokenizer of {model.ref.name}: {_line(error)}") from error
    tokenizer.model_max_length = limit or tokenizer.model_max_length
    return tokenizer


def _load_image_processor(model: SourceModel) -> Any:  # noqa: ANN401 - of transformers
    transformers = extras.require("transformers", extra="transformers")
    for name in ("image_processor", "feature_extractor", "processor"):
        folder = pretrained.inside(model, model.path / "components" / name)
        if (folder / "preprocessor_config.json").is_file():
            try:
                return transformers.AutoImageProcessor.from_pretrained(str(folder), local_files_only=True)
            except Exception as error:  # whatever the class of the processor raises
                raise ConversionError(f"transformers cannot load the image processor: {_line(error)}") from error
    raise ConversionError(f"{model.ref.name} has no image processor: log its pipeline with one (preprocessor_config.json)")


def _inputs(original: Loaded) -> list[str]:
    """What the tokenizer gives and the network takes."""
    import inspect

    taken = inspect.signature(original.network.forward).parameters
    given = original.tokenizer("a")
    return [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in given and name in taken]


def _vocabulary(original: Loaded) -> int:
    return int(getattr(original.network.config, "vocab_size", 0) or len(original.tokenizer))


def _kind(original: Loaded) -> Task:
    if original.task not in ("text-classification", "image-classification"):
        return Task.TENSORS
    return KINDS[pretrained.scoring_of(original.network.config.to_dict())]


def _example_pixels(original: Loaded) -> tuple[Any, dict[int, str]]:
    """Pixels as the processor makes them; height and width may change where they depend on the image's own."""
    import torch

    sizes = [
        original.image_processor(np.full((*sides, 3), 90, np.uint8), return_tensors="pt")["pixel_values"].shape[1:]
        for sides in ((64, 64), (64, 96))
    ]
    axes = {0: ROWS} | ({2: "height", 3: "width"} if sizes[0] != sizes[1] else {})
    return torch.linspace(-1, 1, 2 * sizes[0].numel()).reshape(2, *sizes[0]), axes


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
