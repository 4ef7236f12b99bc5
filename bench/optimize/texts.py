"""Sentences of installed packages' docstrings: English that a calibration set and an evaluation set can share no package of."""

import ast
import importlib.util
import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

CALIBRATION = ("scipy", "pandas", "onnx")
EVALUATION = ("numpy", "sklearn", "sqlalchemy", "pydantic", "mlflow")

SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
WORDS = (8, 40)
"""How many words a sentence has, at least and at most."""


def sentences(packages: Sequence[str], count: int, seed: int) -> list[str]:
    """So many different sentences, drawn from all of the packages."""
    found = sorted({sentence for package in packages for sentence in _of(package)})
    chosen = np.random.default_rng(seed).choice(len(found), size=count, replace=False)
    return [found[number] for number in chosen]


def _of(package: str) -> Iterator[str]:
    """The sentences of a package's docstrings; its files are read and not run."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise LookupError(f"the package {package} is not installed")
    for path in sorted(Path(spec.submodule_search_locations[0]).rglob("*.py")):
        if "tests" not in path.parts:
            yield from _in_file(path)


def _in_file(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_text(errors="replace"))
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            text := ast.get_docstring(node)
        ):
            yield from _sentences(inspect.cleandoc(text))


def _sentences(text: str) -> Iterator[str]:
    """Its prose: paragraphs without code, lists and tables."""
    for paragraph in text.split("\n\n"):
        if re.search(r">>>|::|^\s*[-*.:|=]|^\s{2,}|`{2}|[{}<>\\]", paragraph, re.MULTILINE):
            continue
        for sentence in SENTENCE.split(" ".join(paragraph.split())):
            if WORDS[0] <= len(sentence.split()) <= WORDS[1] and sentence[0].isupper() and sentence.endswith((".", "?", "!")):
                yield sentence
