"""By how much a tokenizer's steps may lengthen a text: a few lines of `tokenizer.json` can make gigabytes of a letter."""

import base64
import binascii
import math
from collections.abc import Mapping
from typing import Any

MOST_GROWTH = 20_000
"""The steps of real tokenizers come to some hundreds, in the worst case: Unicode has a letter that stands for eighteen."""

MOST_PIECES = 64
"""So many tokens and texts a template may put together."""

UNICODE = {"NFKC": 18, "NFKD": 18, "NFC": 3, "NFD": 4, "Lowercase": 2, "BertNormalizer": 4, "ByteLevel": 2}
"""What becomes of one letter at most."""

INNER = ("normalizers", "pretokenizers", "decoders", "processors")


def is_endless(tokenizer: Mapping[str, Any]) -> bool:
    """Whether a short text may become an immense one."""
    before = _growth(tokenizer.get("normalizer")) * _growth(tokenizer.get("pre_tokenizer"))
    return (
        max(before, _growth(tokenizer.get("decoder"))) > MOST_GROWTH or _pieces(tokenizer.get("post_processor")) > MOST_PIECES
    )


def _growth(step: Any) -> float:  # noqa: ANN401 - JSON
    """By how much the step, with those in it, multiplies a text's length at most."""
    if not isinstance(step, Mapping):
        return 1
    kind = step.get("type")
    if kind == "Sequence":
        return math.prod(_growth(one) for name in INNER for one in step.get(name) or ())
    if kind == "Replace":
        content, pattern = len(step["content"]), step["pattern"].get("String")
        return max(1, content / len(pattern)) if pattern else 1 + content
    if kind == "Prepend":
        return 1 + len(step["prepend"])
    if kind == "Precompiled":
        return _longest(step["precompiled_charsmap"] or "")
    return UNICODE.get(str(kind), 1)


def _longest(table: str) -> int:
    """The longest text in SentencePiece's table of what letters become: an index with its size, then the texts."""
    try:
        content = base64.b64decode(table)
    except binascii.Error as error:
        raise ValueError(f"a table of letters is no base64: {error}") from error
    texts = content[4 + int.from_bytes(content[:4], "little") :].split(b"\0")
    return max(1, *(len(text.decode(errors="replace")) for text in texts))


def _pieces(step: Any) -> int:  # noqa: ANN401 - JSON
    """The most parts that a template, or one after the other, puts together."""
    if not isinstance(step, Mapping):
        return 1
    if step.get("type") == "Sequence":
        return math.prod(_pieces(one) for one in step.get("processors") or ())
    return max(1, *(len(step.get(name) or ()) for name in ("single", "pair")))
