"""The names of the arrays in whatever a model answers: an array, or containers of them."""

from collections.abc import Sequence
from typing import Any


def name_of(path: Sequence[Any]) -> str:
    """`output`, `output_1` in a tuple, or the key in a dictionary or an object with fields; the path is as torch's and JAX's
    pytrees give it."""
    parts = [str(getattr(part, "key", getattr(part, "name", getattr(part, "idx", "")))) for part in path]
    joined = "_".join(parts)
    return joined if joined and not joined[0].isdigit() else "_".join(["output", *parts])
