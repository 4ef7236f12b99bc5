"""Texts → tokens, by the model's own `tokenizer.json`; scores by number → labels by name."""

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fdpipe import pretrained
from fdpipe.arrays import Batch, check_names, fit
from fdpipe.artifacts import SourceModel, TensorSpec
from fdpipe.errors import ConversionError
from fdpipe.processor._scored import scored
from fdpipe.processor._text_tokenizer import FILE, described_tokenizer

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

MASKED, QUESTION, BY_TOKEN = "fill-mask", "question-answering", "token-classification"

EMPTY = -1
"""Where there is no token of the text: padding, and what the tokenizer adds."""

NOT, COUNTED, ANSWERABLE = 0, 1, 2
"""What a token is to a question: of no account, the first of all (which stands for "no answer"), one of the context."""


@dataclass(frozen=True, kw_only=True)
class Text:
    """No settings: a text is cut where the model's own tokenizer cuts it. `bind` fills everything: the task, the records'
    names of the texts (two are a pair), what stands before each text, the graph's inputs, the classes, what becomes of a
    classifier's scores, the token that a gap is written as, and the `width` of answers by token."""

    packages: ClassVar[tuple[str, ...]] = ("tokenizers",)
    media_types: ClassVar[tuple[str, ...]] = ("text/plain",)

    task: str = ""
    names: tuple[str, ...] = ()
    prompt: str = ""
    tensors: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    scoring: str = ""
    gap: str = ""
    width: int = 0
    folder: Path | None = None

    def accepts(self, model: SourceModel) -> bool:
        """A sentence-transformers model, or a transformers model for one of the tasks that take text."""
        return pretrained.takes_text(model)

    def bind(self, model: SourceModel, inputs: Sequence[TensorSpec], folder: Path) -> "Text":
        """From the model's JSON files; `tokenizer.json` is written into the folder, with how to cut and pad.
        `ConversionError` for a tokenizer without that file."""
        task, names = pretrained.task_of(model), _names(model)
        if all(spec.dtype == "string" for spec in inputs):  # the original itself is served
            return replace(self, names=names, tensors=names)
        limit = pretrained.token_limit(model)
        written, gap = described_tokenizer(model, limit, only_context=task == QUESTION, right=task == BY_TOKEN)
        (folder / FILE).write_text(json.dumps(written))
        if unknown := [spec.name for spec in inputs if spec.name not in FILLERS]:
            raise ConversionError(f"the graph has an input {unknown[0]!r}: of a text there are {', '.join(FILLERS)}")
        config = pretrained.described(model, pretrained.network_folder(model), "config.json")
        classifies = task in ("text-classification", BY_TOKEN)
        return replace(
            self,
            task=task,
            names=names,
            prompt=pretrained.prompt_of(model),
            tensors=tuple(spec.name for spec in inputs),
            labels=pretrained.labels_of(config) if classifies else (),
            scoring=pretrained.scoring_of(config) if task == "text-classification" else "",
            gap=gap if task == MASKED else "",
            width=limit,
            folder=folder,
        )

    def prepare(self, records: Batch) -> dict[str, np.ndarray]:
        """Columns or tensors of one text a row → the graph's inputs, int64 of shape (rows, sequence), each row padded to the
        longest."""
        check_names(records, self.names)
        texts = {name: _texts(records[name], name) for name in self.names}
        if self.folder is None:
            return {name: np.array(column, dtype=object).reshape(-1, 1) for name, column in texts.items()}
        encodings = self._encoded(texts)
        filled = {name: [FILLERS[name](encoding) for encoding in encodings] for name in self.tensors}
        return {name: _stacked(rows) for name, rows in filled.items()}

    def finish(self, outputs: Batch) -> dict[str, np.ndarray]:
        """`label` and `probabilities` for one label of several, `scores` for any number of them, `value` for a figure;
        by token, the label's name (empty where there is no token) with its place in the text; for a gap, the best tokens;
        anything else as it is. What has a sequence is as wide as the model's longest."""
        if "logits" in outputs:
            return scored(outputs["logits"], self.scoring, self.labels)
        found = {name: self._widened(array) if name in BY_POSITION else array for name, array in outputs.items()}
        if "token_label" in found:
            found["token_label"] = np.array([*self.labels, ""])[found["token_label"]]
        if self.task == MASKED and "token" in found:
            tokens = found["token"]
            words = [self._tokenizer().decode([int(number)], skip_special_tokens=False) for number in tokens.ravel()]
            found["token"] = np.array(words, dtype=str).reshape(tokens.shape)
        return found

    def _tokenizer(self) -> "Tokenizer":
        if self.folder is None:
            raise ValueError("this processor is not bound to a model")
        return _opened(self.folder / FILE)

    def _encoded(self, texts: dict[str, list[str]]) -> list["Encoding"]:
        columns = [[self.prompt + text for text in column] for column in texts.values()]
        if self.gap:
            lacking = [row for row, text in enumerate(columns[0]) if self.gap not in text]
            if lacking:
                raise ValueError(f"{self.names[0]}[{lacking[0]}] has no {self.gap}, which stands for the word to be found")
        rows = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
        try:
            return list(self._tokenizer().encode_batch(rows))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # tokenizers has no class of its own, and a panic of its Rust is no Exception
            raise ValueError(f"the tokenizer does not take {' and '.join(self.names)}: {_line(error)}") from error

    def _widened(self, array: np.ndarray) -> np.ndarray:
        """The second axis filled up; what a token without a number has is `EMPTY`, or 0 for floats."""
        missing = max(0, self.width - array.shape[1])
        padding = [(0, 0), (0, missing), *[(0, 0)] * (array.ndim - 2)]
        return np.pad(array, padding, constant_values=0 if array.dtype.kind == "f" else EMPTY)


BY_POSITION = ("token_label", "token_score", "token_start", "token_end", "features")
"""Outputs whose second axis is the sequence."""


def _names(model: SourceModel) -> tuple[str, ...]:
    """The records' names of the texts, question before context."""
    names = tuple(spec.name for spec in model.inputs)
    asks = pretrained.task_of(model) == QUESTION
    if not names:
        raise ConversionError(f"{model.ref.name} has no signature: log it with signature=infer_signature(texts, answers)")
    if wrong := [spec for spec in model.inputs if spec.dtype != "string"]:
        raise ConversionError(f"{model.ref.name} takes {wrong[0].name!r} as {wrong[0].dtype}: texts must be strings")
    if asks and len(names) == 2 and "question" in names:
        return tuple(sorted(names, key=lambda name: name != "question"))
    if len(names) > 2 or (asks and len(names) < 2):
        wanted = "a question and its context" if asks else "one text, or two that are a pair"
        raise ConversionError(f"{model.ref.name} has {len(names)} inputs, {', '.join(names)}: there must be {wanted}")
    return names


def _texts(array: np.ndarray, name: str) -> list[str]:
    """One text a row."""
    texts = fit(np.asarray(array), "string", name)
    if texts.size != len(texts):
        raise ValueError(f"{name} must have one text a row, got the shape {texts.shape}")
    return [str(text) for text in texts.ravel()]


@functools.lru_cache(maxsize=8)
def _opened(path: Path) -> "Tokenizer":
    """The tokenizer, which is never changed: threads share it."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(path))


def _stacked(rows: list[list[int]]) -> np.ndarray:
    return np.array(rows, dtype=np.int64) if rows else np.zeros((0, 1), np.int64)


def _starts(encoding: "Encoding") -> list[int]:
    return [place[0] for place in _places(encoding)]


def _ends(encoding: "Encoding") -> list[int]:
    return [place[1] for place in _places(encoding)]


def _places(encoding: "Encoding") -> list[tuple[int, int]]:
    """Where each token stands in the text."""
    marked = zip(encoding.offsets, encoding.special_tokens_mask, encoding.attention_mask, strict=True)
    return [place if real and not special else (EMPTY, EMPTY) for place, special, real in marked]


def _word_starts(encoding: "Encoding") -> list[int]:
    return [place[0] for place in _words(encoding)]


def _word_ends(encoding: "Encoding") -> list[int]:
    return [place[1] for place in _words(encoding)]


def _words(encoding: "Encoding") -> list[tuple[int, int]]:
    """Where the whole word of each token of the context stands in it, as in transformers' pipeline."""
    found = []
    for place, word, side in zip(encoding.offsets, encoding.word_ids, encoding.sequence_ids, strict=True):
        whole = encoding.word_to_chars(word, 1) if side == 1 and word is not None else None
        found.append((whole or place) if side == 1 else (EMPTY, EMPTY))
    return found


def _answerable(encoding: "Encoding") -> list[int]:
    """Tokens of the context, and the first token of all where the tokenizer has put it there."""
    marks = [ANSWERABLE if side == 1 else NOT for side in encoding.sequence_ids]
    first = next((place for place, real in enumerate(encoding.attention_mask) if real), None)
    if first is not None and encoding.special_tokens_mask[first]:
        marks[first] = COUNTED
    return marks


FILLERS: dict[str, Callable[["Encoding"], list[int]]] = {
    "input_ids": lambda encoding: encoding.ids,
    "attention_mask": lambda encoding: encoding.attention_mask,
    "token_type_ids": lambda encoding: encoding.type_ids,
    "place_start": _starts,
    "place_end": _ends,
    "word_start": _word_starts,
    "word_end": _word_ends,
    "answerable": _answerable,
}
"""What each input of a graph gets from a text's tokens."""


def _line(error: Any) -> str:  # noqa: ANN401 - an exception
    return " ".join(str(error).split())[:200]
