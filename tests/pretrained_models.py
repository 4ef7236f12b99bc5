"""Tiny Hugging Face models with random weights, saved as MLflow saves them; nothing is downloaded."""

import functools
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from fdpipe.artifacts import SourceModel
from fdpipe.mlmodel import describe
from tests.models import ref_of

Columns = Sequence[Mapping[str, Any]]

SENTENCES = (
    "the cat sat on the mat", "a small model of language", "Paris is the capital of France", "numbers like 1 and 22 and 333",
    "what is the name of the river", "the name of the river is Danube, it flows through Ulm", "words, words; words!",
)  # fmt: skip

LIMIT = 24
"""Tokens that the tiny networks take."""

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"

VOCABULARY = 128
"""As many numbers as the networks know; the tokenizer has a few less."""

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

INPUTS = ["input_ids", "token_type_ids", "attention_mask"]

TEXT = [{"type": "string", "required": True, "name": "text"}]
PAIR = [{"type": "string", "required": True, "name": name} for name in ("context", "question")]


@functools.cache
def _tokenizer_file() -> str:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    words = sorted({word.strip(",;!").lower() for sentence in SENTENCES for word in sentence.split()})
    pieces = [*SPECIAL, *words, *",;!?", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    numbers = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    found = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    found.normalizer = normalizers.BertNormalizer(lowercase=True)
    found.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    found.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, found.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    return str(found.to_str())


def tokenizer(**settings: Any) -> Any:  # noqa: ANN401 - of transformers
    """A WordPiece tokenizer with the words of the sentences, and with letters: one that is trained differs from run to run."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_tokenizer_file()),
        **{"model_max_length": LIMIT, "model_input_names": INPUTS, **named, **settings},
    )


def bert(head: str, **settings: Any) -> Any:  # noqa: ANN401 - of transformers
    """`Bert<head>` with two small layers and weights that make its answers differ."""
    import torch
    import transformers

    torch.manual_seed(7)
    config = transformers.BertConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=40,
        max_position_embeddings=LIMIT, initializer_range=0.4, **settings,
    )  # fmt: skip
    return getattr(transformers, f"Bert{head}")(config).eval()


def saved(folder: Path, task: str, model: object, parts: Mapping[str, Any], inputs: Columns = TEXT) -> SourceModel:
    """The model and its tokenizer (or other parts) in MLflow's transformers flavour."""
    import mlflow.transformers
    from mlflow.models import ModelSignature
    from mlflow.types import Schema

    signature = ModelSignature(inputs=Schema.from_json(json.dumps(list(inputs))))
    mlflow.transformers.save_model(
        {"model": model, **parts}, str(folder), task=task, signature=signature, pip_requirements=["transformers", "torch"]
    )
    return describe(ref_of(folder), folder)


def saved_by_hand(folder: Path, task: str, model: Any, parts: Mapping[str, Any], inputs: Columns) -> SourceModel:  # noqa: ANN401
    """The same folder for a task that MLflow knew with transformers 4 and transformers 5 has no pipeline for."""
    model.save_pretrained(folder / "model")
    for name, part in parts.items():
        part.save_pretrained(folder / "components" / name)
    settings = {
        "task": task, "instance_type": "Pipeline", "pipeline_model_type": type(model).__name__, "model_binary": "model",
        "framework": "pt", "components": list(parts), "source_model_name": "",
    }  # fmt: skip
    settings |= {f"{name}_type": type(part).__name__ for name, part in parts.items()}
    flavors = {"transformers": settings, "python_function": {"loader_module": "mlflow.transformers"}}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors, "signature": {"inputs": json.dumps(list(inputs))}}))
    return describe(ref_of(folder), folder)


def sentences(*, pooling: str | tuple[str, ...] = "mean", dense: int = 0, normalize: bool = True) -> Any:  # noqa: ANN401
    """A SentenceTransformer around the tiny network."""
    import tempfile

    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    with tempfile.TemporaryDirectory() as folder:
        bert("Model").save_pretrained(folder)
        tokenizer().save_pretrained(folder)
        first = Transformer(folder)
    parts: list[Any] = [first, Pooling(32, pooling)]
    width = 32 * (1 if isinstance(pooling, str) else len(pooling))
    parts += [Dense(width, dense)] if dense else []
    return SentenceTransformer(modules=[*parts, *([Normalize()] if normalize else [])], device="cpu")


def saved_sentences(folder: Path, model: Any) -> SourceModel:  # noqa: ANN401 - a SentenceTransformer
    """The model in MLflow's sentence_transformers flavour."""
    import mlflow.sentence_transformers
    from mlflow.models import ModelSignature
    from mlflow.types import Schema

    signature = ModelSignature(inputs=Schema.from_json(json.dumps(TEXT)))
    mlflow.sentence_transformers.save_model(
        model, str(folder), signature=signature, pip_requirements=["sentence-transformers", "torch"]
    )
    return describe(ref_of(folder), folder)


def with_pickled_weights(folder: Path) -> None:
    """A folder with `model.safetensors` as older versions wrote it: a pickle instead."""
    import torch
    from safetensors.torch import load_file

    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()


def copied(model: SourceModel, folder: Path) -> SourceModel:
    """The same model in another folder, to be changed there."""
    shutil.copytree(model.path, folder)
    return describe(ref_of(folder), folder)
