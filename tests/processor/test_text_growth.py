"""Tokenizers that would take all memory, or end the process, of whoever asks them."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdpipe.artifacts import SourceModel
from fdpipe.errors import ConversionError
from fdpipe.processor.text import Text
from tests.pretrained_models import bert, saved, tokenizer
from tests.processor.test_text import bound_to

LETTERS = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 100}
GAPS = {"type": "Replace", "pattern": {"Regex": "x*"}, "content": "ab" * 100}
TABLE = (8).to_bytes(4, "little") + bytes(8) + b"b\0" + b"a" * 50_000 + b"\0"
SLOW = {"type": "Replace", "pattern": {"Regex": "(t|tt|t?)+(t+)+$"}, "content": "b"}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> SourceModel:
    folder = tmp_path_factory.mktemp("models") / "model"
    return saved(folder, "text-classification", bert("ForSequenceClassification"), {"tokenizer": tokenizer()})


def changed(kept: SourceModel, folder: Path, /, **steps: Any) -> Text:  # noqa: ANN401 - JSON
    (path,) = kept.path.rglob("tokenizer.json")
    before = path.read_text()
    path.write_text(json.dumps(json.loads(before) | steps))
    try:
        return bound_to(kept, folder)
    finally:
        path.write_text(before)


@pytest.mark.parametrize(
    "steps",
    [
        {"normalizer": {"type": "Sequence", "normalizers": [LETTERS] * 6}},
        {"normalizer": {"type": "Sequence", "normalizers": [{"type": "Sequence", "normalizers": [GAPS]}] * 3}},
        {"normalizer": {"type": "Prepend", "prepend": "a" * 10**6}},
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(TABLE).decode()}},
        {"normalizer": LETTERS, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}] * 20}},
        {"decoder": {"type": "Sequence", "decoders": [LETTERS] * 6}},
        {"post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}] * 65}},
    ],
    ids=["replace", "regex", "prepend", "table", "bytes", "decoder", "template"],
)
def test_one_that_makes_immense_texts_is_refused(kept: SourceModel, tmp_path: Path, steps: dict[str, Any]) -> None:
    with pytest.raises(ConversionError, match=r"tokenizer\.json of .* makes immense texts of short ones: refused"):
        changed(kept, tmp_path / "processor", **steps)


@pytest.mark.parametrize(
    "steps",
    [
        {"normalizer": {"type": "Sequence", "normalizers": [{"type": "Strip", "strip_left": True, "strip_right": True}] * 9}},
        {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}, LETTERS]}},
        {"normalizer": None, "pre_tokenizer": None, "decoder": None, "post_processor": None},
    ],
)
def test_others_are_taken(kept: SourceModel, tmp_path: Path, steps: dict[str, Any]) -> None:
    assert changed(kept, tmp_path / "processor", **steps).prepare({"text": np.array(["the cat"])})


@pytest.mark.parametrize("steps", [{"normalizer": SLOW}, {"model": {"type": "WordPiece"}}, {"added_tokens": [{"id": -1}]}])
def test_what_tokenizers_does_not_survive_is_an_error_of_the_row(
    kept: SourceModel, tmp_path: Path, steps: dict[str, Any]
) -> None:
    with pytest.raises((ValueError, ConversionError, KeyError)) as caught:
        changed(kept, tmp_path / "processor", **steps).prepare({"text": np.array(["t" * 60 + "!"])})
    assert "\n" not in str(caught.value)
