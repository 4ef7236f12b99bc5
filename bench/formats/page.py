"""docs/formats.md: the table of what was converted, and when, and with what."""

import re
import time
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version

from bench.formats.conversion import AGREES, CURED, REFUSED, Outcome
from fdpipe import __version__
from fdpipe.machine import describe_machine

TOOLS = ("mlflow", "onnx", "onnxruntime", "numpy")

TOLD = 260
"""So many characters of a refusal stand in the table."""

INTRODUCTION = """Each row is a model that was made and registered as its library's users do it, by a small program in
`bench/formats`, and went through the stage `convert` as in a run: in a child process of the default environment, or (*venv*)
in one built from the requirements that the model brings. *Difference* is the largest of all sets of rows in the certificate,
boundary cases included: absolute for probabilities, relative for other figures; of tensors the smallest cosine stands beside
it. *Seconds* are those of the conversion with its certificate, without the building of the environment.

What scikit-learn's estimators and the architectures of transformers do is in [estimators](estimators.md) and
[architectures](architectures.md)."""


def page(outcomes: Sequence[Outcome]) -> str:
    """The page's text."""
    machine = describe_machine()
    tools = ", ".join(f"{name} {version(name)}" for name in TOOLS)
    where = f"{machine.processor}, {machine.cores} cores, {machine.memory_gib} GiB"
    counts = Counter(one.result for one in outcomes)
    formats = len({one.made.format for one in outcomes if one.result in (AGREES, CURED)})
    lines = [
        "# Formats",
        "",
        f"`make formats` wrote this page: fdpipe {__version__}, {time.strftime('%Y-%m-%d')}, {tools}, on {where}.",
        "",
        f"{len(outcomes)} models of {len({one.made.format for one in outcomes})} formats: {_summed(counts)}; "
        f"{formats} formats have a model that agrees.",
        "",
        INTRODUCTION,
        "",
        "| format | registered as | versions | converter | result | difference | seconds |",
        "|---|---|---|---|---|---:|---:|",
        *map(_line, outcomes),
    ]
    return "\n".join([*lines, ""])


def _summed(counts: Counter[str]) -> str:
    return ", ".join(f"{word} {number}" for word, number in counts.most_common())


def _line(one: Outcome) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in one.made.versions.items())
    trust = ", trusted" if one.made.trusted else ""
    result = one.result + (f": {_told(one.told)}" if one.told else "")
    cells = [
        one.made.format, f"{one.made.serialization}{trust}", versions, f"{one.converter} ({one.where.value})" if one.converter
        else one.where.value, result, _difference(one), "" if one.seconds is None else f"{one.seconds:.1f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _told(words: str) -> str:
    """Short, in one line, and nothing that Markdown or a reader elsewhere would stumble over."""
    text = re.sub(r"/\S*/", "…/", " ".join(words.split())).replace("|", "\\|").replace("<", "&lt;")
    return text if len(text) <= TOLD else f"{text[:TOLD].rstrip()} …"


def _difference(one: Outcome) -> str:
    if one.difference is None:
        return "" if one.result == REFUSED else "–"
    cosine = "" if one.cosine is None else f" (cosine {one.cosine:.7g})"
    return f"{one.difference:.1e}{cosine}"
