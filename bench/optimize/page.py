"""docs/optimization.md: the tables, and when, where and with what they were measured."""

import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from bench.optimize.fallback import FLOOR, Fallback
from bench.optimize.models import SUBJECTS
from bench.optimize.recipe_tables import recipe_tables
from bench.optimize.recipes import Line
from bench.optimize.regret import WANTED, WITHIN, Regret
from bench.optimize.remembered import origins
from bench.optimize.row import Row
from fdpipe import __version__
from fdpipe.machine import describe_machine

PAGE = Path(__file__).parent.parent.parent / "docs" / "optimization.md"
TOOLS = ("onnxruntime", "openvino", "nncf", "onnx", "xgboost-cpu", "scikit-learn", "torch")

REACHED = """Times faster than ONNX Runtime in float32 with its default settings, on one core at batch 1, with 99 % intervals.
What is compared was opened again and again in one interleaved run. A row is reached by its median; *not shown* is what could
not be measured, or may be otherwise. Each candidate was chosen by the search itself: by the plan that
`fdpipe run +target=cpu search=auto` makes, with the gate's limit that the row names, which is a figure on this bench's rows
(`gate.alpha=0.49`) and not what is surely kept on others. The peers' were made in this run by Olive 0.13 in an environment of
its own, and by a script of OpenVINO and NNCF without fdpipe. ResNet-18's limit is the quality of Olive's output. *Wall time*
is that of a fresh process from its start to its end, on all cores, with the least and the greatest of any two runs: Olive's
output is ONNX, the lean script's and *fdpipe*'s are OpenVINO's, by the recipes `nncf_weights` and `nncf_int8`; only these
decide. *fdpipe on ONNX* makes what Olive makes, by `int8_dynamic` after `transformer`, and by `int8_static`. Olive quantizes
activations to uint8, which is not its default: with its own int8, ONNX Runtime was no faster than in float32."""


def page(rows: Sequence[Row], fallback: Fallback | None, regrets: Sequence[Regret], lines: Sequence[Line]) -> str:
    """The whole page."""
    return "\n".join([*_head(), tables(rows, fallback, regrets, lines)])


def tables(rows: Sequence[Row], fallback: Fallback | None, regrets: Sequence[Regret], lines: Sequence[Line]) -> str:
    """What is on it."""
    return "\n".join([*_reached(rows), *_fallback(fallback), *_regrets(regrets), *recipe_tables(lines), ""])


def _head() -> list[str]:
    machine = describe_machine()
    where = f"{machine.processor}, {machine.cores} cores, {machine.memory_gib} GiB, with {', '.join(machine.instruction_sets)}"
    made = ", ".join(f"{name} {version(name)}" for name in TOOLS)
    wrote = f"`make bench-optimize` wrote this page on {time.strftime('%Y-%m-%d')}: fdpipe {__version__}, {made}; {where}."
    subjects = [f"- `{name}`: {one.about}; {', '.join(one.metric)}" for name, one in SUBJECTS.items()]
    return ["# Optimization, measured", "", wrote, "", *_origins(), "The models:", "", *subjects, ""]


def _origins() -> Iterator[str]:
    """What is of another day or code than this run, which goes on where the last one ended."""
    found = origins()
    if len(found) > 1:
        told = "; ".join(f"{day}, code `{code}`: {', '.join(names)}" for (day, code), names in found.items())
        yield from (f"The parts were measured one after the other: {told}.", "")


def _reached(rows: Sequence[Row]) -> Iterator[str]:
    yield from ("## To reach", "", REACHED, "", "| what | wanted | reached | | beside it |", "|---|---|---|---|---|")
    for row in rows:
        mark = {True: "✓", False: "✗", None: "not shown"}[row.holds]
        yield f"| {row.what} | {row.wanted} | {row.found} | {mark} | {row.peers} |"
    yield ""


def _fallback(found: Fallback | None) -> Iterator[str]:
    if found is None:
        return
    yield from (
        "## Where 8 bits lose too much",
        "",
        f"MiniLM on ONNX Runtime alone, overlap at least {FLOOR}: `naive` is what `quantize_static` makes by itself. "
        f"Trial by trial, each with the search's own words for why; chosen was {found.chosen}.",
        "",
        "| candidate | why | overlap | of the baseline's time | against it |",
        "|---|---|---:|---:|---|",
    )
    for one in found.turns:
        figures = [_thousandths(one.quality), _thousandths(one.ratio)]
        yield f"| {one.candidate} | {one.why} | {' | '.join(figures)} | {one.against or 'nothing'} |"
    yield ""


def _thousandths(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _regrets(regrets: Sequence[Regret]) -> Iterator[str]:
    held, empty = sum(one.holds for one in regrets), sum(one.is_empty for one in regrets)
    nothing = f" Under {empty} of these gates nothing passes, and nothing was chosen." if empty else ""
    yield from (
        "## Chosen against an exhaustive search",
        "",
        f"**{held} of {len(regrets)}** choices take at most {WITHIN - 1:.0%} longer than the best candidate that passes; "
        f"{WANTED} of 40 were wanted.{nothing} *Best* is of everything: each runtime in each session with each recipe and "
        "calibrator, and what the searches tried beside; of `resnet18` and `minilm` each recipe with one of these varied at a "
        "time. Each search chose by a benchmark of its own; then the fastest were measured again in one run, and where that "
        "has another for the best, these two once more, which decides, by the median; its interval is behind it.",
        "",
        "| model | may lose | candidates | tried by the search | chosen | of the best's time | the best |",
        "|---|---:|---:|---:|---|---:|---|",
    )
    for one in regrets:
        best = "the same" if one.best == one.chosen else one.best
        ends = "" if one.low is None or one.high is None else f" ({one.low:.3f}–{one.high:.3f})"
        ratio = f"{one.ratio:.3f}{ends}{'' if one.holds else ' ✗'}"
        yield f"| {one.model} | {one.drop:g} | {one.tried} | {one.searched} | {one.chosen} | {ratio} | {best} |"
    yield ""
