"""A model's `tokenizer.json`, with how to cut and how to pad written into it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fdpipe import pretrained
from fdpipe.artifacts import SourceModel
from fdpipe.errors import ConversionError
from fdpipe.processor._text_growth import is_endless

FILE = "tokenizer.json"

LEFT, RIGHT = "Left", "Right"


def described_tokenizer(model: SourceModel, limit: int, *, only_context: bool, right: bool) -> tuple[dict[str, Any], str]:
    """The file's content, and the token that stands for a gap (empty where there is none). Pairs lose tokens of the longer
    text, or of the context only; padding is on the side that the tokenizer says, or on the right."""
    folder = pretrained.tokenizer_folder(model)
    found = pretrained.described(model, folder, FILE)
    if "model" not in found:
        raise ConversionError(
            f"{model.ref.name} has no {FILE}: open its tokenizer with AutoTokenizer.from_pretrained(…, use_fast=True), which "
            "writes that file, and log the model again"
        )
    if is_endless(found):
        raise ConversionError(f"{FILE} of {model.ref.name} makes immense texts of short ones: refused")
    settings = _settings(model, folder)
    number, token = _padding(model, found, settings)
    found["truncation"] = None if not limit else {
        "direction": _side(settings, "truncation_side"),
        "max_length": limit,
        "strategy": "OnlySecond" if only_context else "LongestFirst",
        "stride": 0,
    }  # fmt: skip
    found["padding"] = {
        "strategy": "BatchLongest",
        "direction": RIGHT if right else _side(settings, "padding_side"),
        "pad_to_multiple_of": None,
        "pad_id": number,
        "pad_type_id": settings.get("pad_token_type_id") or 0,
        "pad_token": token,
    }
    if pretrained.sentences_settings(model).get("do_lower_case") if model.flavour == pretrained.SENTENCES else False:
        found["normalizer"] = _lowercased(found.get("normalizer"))
    return found, _content(settings.get("mask_token"))


def _settings(model: SourceModel, folder: Path) -> dict[str, Any]:
    """`special_tokens_map.json`, which older versions write, under `tokenizer_config.json`."""
    return pretrained.described(model, folder, "special_tokens_map.json") | {
        key: value for key, value in pretrained.described(model, folder, "tokenizer_config.json").items() if value is not None
    }


def _padding(model: SourceModel, tokenizer: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[int, str]:
    """The token for padding and its number. Where there is none it does not matter which: the attention mask hides it."""
    token = _content(settings.get("pad_token"))
    number = _number(tokenizer, token)
    if token and number is None:
        raise ConversionError(f"{FILE} of {model.ref.name} does not have the token for padding, {token!r}")
    if number is None:
        config = pretrained.described(model, pretrained.network_folder(model), "config.json")
        number = next((found for key in ("pad_token_id", "eos_token_id") if isinstance(found := config.get(key), int)), 0)
    return number, token


def _number(tokenizer: Mapping[str, Any], token: str) -> int | None:
    """A token's number, from the tokens added or from the vocabulary."""
    for added in tokenizer.get("added_tokens") or ():
        if added.get("content") == token:
            return int(added["id"])
    words = tokenizer["model"].get("vocab")
    if isinstance(words, dict):
        return words.get(token)
    return next((number for number, (word, *_) in enumerate(words or ()) if word == token), None)


def _content(token: object) -> str:
    """A token is written as its text, or with its text among settings."""
    return str((token.get("content") if isinstance(token, dict) else token) or "")


def _side(settings: Mapping[str, Any], key: str) -> str:
    return LEFT if settings.get(key) == "left" else RIGHT


def _lowercased(normalizer: Mapping[str, Any] | None) -> dict[str, Any]:
    """What sentence-transformers does where its settings say `do_lower_case`: lower case comes first."""
    following = [] if normalizer is None else [normalizer]
    if normalizer is not None and normalizer.get("type") == "Sequence":
        following = list(normalizer["normalizers"])
    return {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, *following]}
