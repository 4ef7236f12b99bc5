"""Architectures of transformers that convert: `python -m bench.architectures [MODEL_TYPE…]` writes docs/architectures.md."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from bench.common import Figure, figure
from bench.small_models import ARCHITECTURES, Architecture, records, save

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architectures.md"

LONGEST_S = 300
"""A model that takes longer is one that does not convert."""

PROMISED = 40

VERSIONS = ("transformers", "tokenizers", "torch", "onnxscript", "onnx", "onnxruntime", "pillow")


ABOUT = (
    "Each is built from its config, small, with seeded random weights (larger than transformers starts them, or all rows would "
    "be answered alike) and a tokenizer trained on the spot, or an image processor; it is saved as "
    "`mlflow.transformers.save_model` does it, and converted and compared as in a run: no label may differ, and no probability "
    "by more than 1e-5, on 16 texts or 8 images and on the boundary cases. *Spread* is how far the rows' own probabilities are "
    "from each other: where it is large, agreeing means something. torch.onnx has two exporters; the one that gave the graph "
    "is named."
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one: `difference` is the largest of all rows' probabilities, `apart` how far the rows themselves are
    from each other, so that agreeing means something; `refusal` why it does not convert, or empty."""

    model_type: str
    task: str
    seconds: float
    rows: int = 0
    difference: float = 0.0
    apart: float = 0.0
    exporter: str = ""
    precision: str = ""
    refusal: str = ""


def converted(model_type: str, folder: Path) -> Outcome:
    """Build it, convert it in this very process, and compare both on texts or images; a refusal is an outcome, too."""
    import numpy as np

    from fdpipe.arrays import save_arrays
    from fdpipe.artifacts import ModelRef, Rows
    from fdpipe.content import tree_digest
    from fdpipe.converter.transformers import Transformers
    from fdpipe.errors import FdpipeError
    from fdpipe.graphs import read
    from fdpipe.mlmodel import describe
    from fdpipe.plan import Conversion, Isolation, Tolerance
    from fdpipe.processor.image import Image
    from fdpipe.processor.text import Text
    from fdpipe.runtime.onnxruntime import OnnxRuntime
    from fdpipe.stages.convert import convert
    from fdpipe.store import LocalStore

    wanted = ARCHITECTURES[model_type]
    store = LocalStore(folder / "store")
    given = store.root / "given"
    given.mkdir(parents=True)
    save(model_type, wanted, given / "model")
    asked = np.array(records(wanted))
    rows = Rows(
        role="evaluation",
        path=given / "rows.npz",
        digest=save_arrays(given / "rows.npz", {"input": asked}),
        count=len(asked),
        labelled=False,
    )
    ref = ModelRef(name=model_type, version="1", uri=f"models:/{model_type}/1", digest=tree_digest(given / "model"))
    started = time.perf_counter()
    try:
        baseline = convert(
            store,
            converters={"transformers": Transformers()},
            processors={"image": Image(), "text": Text()},
            runtimes={"onnxruntime": OnnxRuntime()},
            model=describe(ref, given / "model"),
            rows=rows,
            how=Conversion(isolation=Isolation.IN_PROCESS),
            tolerance=Tolerance(),
        )
    except FdpipeError as error:
        return Outcome(model_type=model_type, task=wanted.task, seconds=time.perf_counter() - started, refusal=_told(error))
    probabilities = baseline.reference.load()["probabilities"]
    return Outcome(
        model_type=model_type,
        task=wanted.task,
        seconds=time.perf_counter() - started,
        rows=baseline.parity.rows,
        difference=baseline.parity.largest_difference,
        apart=float(np.ptp(probabilities, axis=0).max()),
        exporter=read(baseline.artifact.path).producer_name,
        precision=baseline.parity.precision.value,
    )


def _told(error: Exception) -> str:
    """Its words, without the folder of this machine in which it can be repeated."""
    return str(error).partition("; to see it again")[0]


def alone(model_type: str, wanted: Architecture) -> Outcome:
    """The same in a process of its own: some take the interpreter down, and none shall slow the next."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "bench.architectures", "--here", model_type]
    try:
        with tempfile.TemporaryDirectory() as home:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=LONGEST_S,
                cwd=ROOT,
                check=False,
                env=os.environ | {"FDPIPE_HOME": home, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            )
    except subprocess.TimeoutExpired:
        told = f"it takes longer than {LONGEST_S} s"
        return Outcome(model_type=model_type, task=wanted.task, seconds=LONGEST_S, refusal=told)
    if done.returncode:
        crashed = f"the process crashed with signal {-done.returncode}"
        last = crashed if done.returncode < 0 else (done.stderr.strip().splitlines() or ["not built"])[-1]
        return Outcome(model_type=model_type, task=wanted.task, seconds=time.perf_counter() - started, refusal=last)
    return Outcome(**json.loads(done.stdout.strip().splitlines()[-1]))


def measure(names: Sequence[str] = ()) -> list[Figure]:
    """All of them, or those named; the page is written when all were tried."""
    outcomes = []
    for name in names or ARCHITECTURES:
        outcomes.append(alone(name, ARCHITECTURES[name]))
        print(_row(outcomes[-1]), flush=True)
    if not names:
        PAGE.write_text(page(outcomes))
    refused = [float(sum(bool(one.refusal) for one in outcomes))]
    limit = None if names else len(ARCHITECTURES) - PROMISED + 1
    return [
        figure("model types that do not convert", refused, unit="", limit=limit),
        figure("one conversion", [one.seconds for one in outcomes]),
    ]


def page(outcomes: Sequence[Outcome]) -> str:
    """The table, those that convert first."""
    good = [one for one in outcomes if not one.refusal]
    bad = [one for one in outcomes if one.refusal]
    made = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    lines = [
        "# Architectures of transformers",
        "",
        f"`make bench-architectures` wrote this page on {time.strftime('%Y-%m-%d')}: fdpipe {version('fdpipe')}, {made}.",
        "",
        f"**{len(good)} of {len(outcomes)}** `model_type`s convert and agree. {ABOUT}",
        "",
        "| model_type | task | largest difference | spread | exporter | precision | s |",
        "|---|---|---:|---:|---|---|---:|",
        *(_row(one) for one in _sorted(good)),
    ]
    if bad:
        lines += ["", "## Not converted", "", "| model_type | task | why | s |", "|---|---|---|---:|", *map(_row, _sorted(bad))]
    return "\n".join([*lines, ""])


def _sorted(outcomes: Iterable[Outcome]) -> list[Outcome]:
    return sorted(outcomes, key=lambda one: (one.task, one.model_type))


def _row(one: Outcome) -> str:
    if one.refusal:
        said = one.refusal.replace("|", "\\|").replace("\n", " ")
        return f"| {one.model_type} | {one.task} | {said[:300]} | {one.seconds:.1f} |"
    figures = f"{one.difference:.1e} | {one.apart:.2g} | {one.exporter} | {one.precision} | {one.seconds:.1f}"
    return f"| {one.model_type} | {one.task} | {figures} |"


def main(words: Sequence[str]) -> int:
    """`--here NAME` converts one in this process and prints what came of it as JSON."""
    if words[:1] == ["--here"]:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(asdict(converted(words[1], Path(folder)))))
        return 0
    return 0 if all(item.holds for item in measure(words)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
