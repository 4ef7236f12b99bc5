"""The graph before and after: how many nodes of each operator the exported model has, and the released one."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fdpipe import graphs
from fdpipe.artifacts import Artifact, Record
from fdpipe.errors import StageError
from fdpipe.report import words
from fdpipe.report.tables import Table
from fdpipe.store import Store, stage


@dataclass(frozen=True, kw_only=True)
class Operators:
    """How many nodes of each operator there are; `before` and `after` by the operator's name."""

    before: Mapping[str, int]
    after: Mapping[str, int]


@stage(packages=("onnx",))
def count(folder: Path, before: Artifact, after: Artifact) -> Operators:
    """The nodes of two ONNX files as they lie there: what a runtime fuses when it opens them is not counted."""
    with graphs.told("reading the graphs"):
        found = [dict(Counter(graphs.operators(one.path))) for one in (before, after)]
    return Operators(before=found[0], after=found[1])


def operators(record: Record, store: Store) -> Operators | None:
    """Those of the export and of what was released; None where one of the two is no readable ONNX file."""
    if record.release is None:
        return None
    before, after = record.baseline.artifact, record.release.artifact
    if any(one.kind != "onnx" or not one.path.is_file() for one in (before, after)):
        return None
    try:
        return count(store, before, after)
    except StageError:
        return None


def table(found: Operators) -> Table:
    """A row for each operator, the most frequent first, and one for all."""
    names = sorted({*found.before, *found.after}, key=lambda name: (-found.before.get(name, 0), name))
    rows = [_row(name, found.before.get(name, 0), found.after.get(name, 0)) for name in names]
    total = _row("all nodes", sum(found.before.values()), sum(found.after.values()))
    return Table(columns=("operator", "exported", "released", "change"), rows=(total, *rows))


def _row(name: str, before: int, after: int) -> tuple[str, ...]:
    change = words.DASH if after == before else f"{after - before:+,}"
    return name, f"{before:,}", f"{after:,}", change
