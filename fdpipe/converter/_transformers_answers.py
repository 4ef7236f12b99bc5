"""What a transformers model itself answers: by the library's own pipeline where there is one, text by text, unpadded."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fdpipe import pretrained
from fdpipe.arrays import Batch
from fdpipe.converter._transformers_tasks import BEST, EMPTY, LONGEST_ANSWER

EXAMPLE_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
"""A picture of one pixel, as base64 text."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A model of transformers, opened: its network, and its tokenizer or image processor. `limit` tokens of a text are
    taken, 0 for all; `features` says which features of a text are meant."""

    task: str
    network: Any
    tokenizer: Any = None
    image_processor: Any = None
    limit: int = 0
    features: str = "first"


def answered(original: Loaded, columns: Mapping[str, Sequence[str]]) -> Batch:
    """Its answers to one text or picture a row, or two texts by name."""
    import torch

    rows = list(zip(*columns.values(), strict=True))
    asked = rows or [tuple(_example(original) for _ in columns)]
    with torch.inference_mode():
        found = ANSWERS[original.task](original, asked)
    return {name: array[: len(rows)] for name, array in found.items()}


def _example(original: Loaded) -> str:
    """Something that can be answered: the shapes of no answers are those of one."""
    if original.image_processor is not None:
        return EXAMPLE_PIXEL
    return str(original.tokenizer.mask_token) if original.task == "fill-mask" else "a"


def _pipeline(original: Loaded) -> Any:  # noqa: ANN401 - of transformers
    from transformers import pipeline

    parts = {"tokenizer": original.tokenizer, "image_processor": original.image_processor}
    given = {name: part for name, part in parts.items() if part is not None}
    return pipeline(original.task, model=original.network, device=-1, **given)


def _cut(original: Loaded) -> dict[str, Any]:
    return {"truncation": True, "max_length": original.limit} if original.limit else {}


def _classified_texts(original: Loaded, rows: Sequence[tuple[str, ...]]) -> Batch:
    asked = [row[0] if len(row) == 1 else {"text": row[0], "text_pair": row[1]} for row in rows]
    return _by_label(original, _pipeline(original)(asked, top_k=None, **_cut(original)))


def _classified_images(original: Loaded, rows: Sequence[tuple[str, ...]]) -> Batch:
    found = _pipeline(original)([_picture(row[0]) for row in rows], top_k=len(original.network.config.id2label))
    return _by_label(original, found)


def _picture(text: str) -> Any:  # noqa: ANN401 - of Pillow
    """What the text encodes: the pipeline itself would open addresses and paths."""
    from PIL import Image

    content = text.partition(",")[2] if text.startswith("data:image/") else text
    return Image.open(io.BytesIO(base64.b64decode(content)))


def _by_label(original: Loaded, found: Sequence[Sequence[Mapping[str, Any]]]) -> Batch:
    """Scores by class, from the pipeline's lists of labels."""
    config = original.network.config
    labels = [config.id2label[number] for number in range(len(config.id2label))]
    by_name = [{one["label"]: one["score"] for one in row} for row in found]
    scores = np.array([[row[label] for label in labels] for row in by_name], dtype=np.float32)
    kind = pretrained.scoring_of(config.to_dict())
    if kind != "softmax":
        return {"value" if kind == "none" else "scores": scores}
    return {"label": np.array([row[0]["label"] for row in found]), "probabilities": scores}


def _classified_tokens(original: Loaded, rows: Sequence[tuple[str, ...]]) -> Batch:
    found = _pipeline(original)([row[0] for row in rows], aggregation_strategy="none", ignore_labels=[])
    answers = {
        "token_label": np.full((len(rows), original.limit), "", dtype=object),
        "token_score": np.zeros((len(rows), original.limit), np.float32),
        "token_start": np.full((len(rows), original.limit), EMPTY, np.int64),
        "token_end": np.full((len(rows), original.limit), EMPTY, np.int64),
    }
    for row, tokens in enumerate(found):
        for token in tokens:
            for name, key in (("label", "entity"), ("score", "score"), ("start", "start"), ("end", "end")):
                answers[f"token_{name}"][row, token["index"]] = token[key]
    return answers | {"token_label": answers["token_label"].astype(str)}


def _filled_gaps(original: Loaded, rows: Sequence[tuple[str, ...]]) -> Batch:
    best = min(BEST, original.network.config.vocab_size)
    run = _pipeline(original)
    found = [run(row[0], top_k=best, tokenizer_kwargs=_cut(original)) for row in rows]
    first = [row[0] if isinstance(row[0], list) else row for row in found]
    return {
        "token": np.array([[one["token_str"] for one in row] for row in first]),
        "score": np.array([[one["score"] for one in row] for row in first], np.float32),
    }


def _features(original: Loaded, rows: Sequence[tuple[str, ...]]) -> Batch:
    run = _pipeline(original)
    found = [run(row[0], return_tensors=True, tokenize_kwargs=_cut(original)).numpy()[0] for row in rows]
    if original.features != "tokens":
        return {"embedding": np.stack([row[0] if original.features == "first" else row.mean(axis=0) for row in found])}
    return {"features": np.stack([np.pad(row, [(0, original.limit - len(row)), (0, 0)]) for row in found])}


def _answered_questions(original: Loaded, rows: Sequence[tuple[str, ...]]) -> Batch:
    """transformers 5 has no pipeline for questions any more: this is what that of transformers 4 does with one window."""
    found = [_answered_question(original, question, context) for question, context in rows]
    starts, ends, scores = zip(*found, strict=True)
    return {"start": np.array(starts, np.int64), "end": np.array(ends, np.int64), "score": np.array(scores, np.float32)}


def _answered_question(original: Loaded, question: str, context: str) -> tuple[int, int, float]:
    cut = {"truncation": "only_second", "max_length": original.limit} if original.limit else {}
    encoded = original.tokenizer(question, context, return_tensors="pt", **cut)
    output = original.network(**encoded)
    is_context = np.array([side == 1 for side in encoded.sequence_ids(0)])
    is_first = encoded["input_ids"][0].numpy() == original.tokenizer.cls_token_id
    start, end = (
        np.where(is_context, _softmax(np.where(is_context | is_first, logits.numpy()[0], -10000.0)), 0.0)
        for logits in (output.start_logits, output.end_logits)
    )
    spans = np.tril(np.triu(np.outer(start, end)), LONGEST_ANSWER - 1)
    first, last = np.unravel_index(spans.argmax(), spans.shape)
    return *_words_between(encoded, int(first), int(last)), float(spans[first, last])


def _words_between(encoded: Any, first: int, last: int) -> tuple[int, int]:  # noqa: ANN401 - of transformers
    """Where whole words start and end in the context."""
    places = []
    for token in (first, last):
        word = encoded.token_to_word(token)
        places.append(encoded.token_to_chars(token) if word is None else encoded.word_to_chars(word, sequence_index=1))
    if any(place is None for place in places):  # there is no context
        return EMPTY, EMPTY
    return places[0][0], places[1][1]


def _softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max())
    found: np.ndarray = raised / raised.sum()
    return found


ANSWERS: Mapping[str, Callable[[Loaded, Sequence[tuple[str, ...]]], Batch]] = {
    "text-classification": _classified_texts,
    "image-classification": _classified_images,
    "token-classification": _classified_tokens,
    "fill-mask": _filled_gaps,
    "question-answering": _answered_questions,
    "feature-extraction": _features,
}
"""By task."""
