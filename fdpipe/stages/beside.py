"""beside: what candidates are judged beside, read from its files once for all the trials of a search."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from fdpipe import progress
from fdpipe.artifacts import Answers, Evaluation, Rows, Task
from fdpipe.content import fingerprint
from fdpipe.errors import NotApplicable
from fdpipe.evidence import Paired
from fdpipe.interfaces import Slicer
from fdpipe.stages.evaluate import agrees, labels_beside, own_labels


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What candidates are judged beside: the evaluation rows, in slices, with the original's answers to them; and the release
    now deployed for this target, evaluated on the same rows, with its digest. `corruptions` are the names of those that the
    finalists are asked to bear."""

    rows: Rows
    task: Task
    reference: Answers
    slicer: Mapping[str, Slicer]
    incumbent: Evaluation | None = None
    incumbent_release: str | None = None
    corruptions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """`Beside`, read from its files; `slices` are the rows of every slice by its name, bool of shape (rows,)."""

    task: Task
    original: Mapping[str, np.ndarray]
    incumbent: Mapping[str, np.ndarray] | None
    labels: np.ndarray | None
    own: np.ndarray | None
    slices: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, beside: Beside) -> "Known":
        """What is read; the last that was asked for is kept, since a search asks for the same again and again."""
        return _read(_Asked(digest=fingerprint(beside), beside=beside))

    def paired(self, before: Mapping[str, np.ndarray], evaluation: Evaluation) -> Paired:
        """A candidate's answers beside these."""
        after = evaluation.answers.load()
        return Paired(
            before=before, after=after, labels=self.labels, own=self.own, original=self.original,
            alike=agrees(self.task, after, self.original),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """Equal where the contents are."""

    digest: str
    beside: Beside = field(compare=False)


@lru_cache(maxsize=1)
def _read(asked: _Asked) -> Known:
    beside = asked.beside
    original = beside.reference.load()
    return Known(
        task=beside.task,
        original=original,
        incumbent=beside.incumbent.answers.load() if beside.incumbent else None,
        labels=labels_beside(beside.rows.labels(), original),
        own=own_labels(beside.task, original),
        slices=_sliced(beside),
    )


def _sliced(beside: Beside) -> dict[str, np.ndarray]:
    """The rows of every slice, by its name."""
    if not beside.slicer:
        return {}
    examples, found = beside.rows.load(), dict[str, np.ndarray]()
    for name, slicer in beside.slicer.items():
        try:
            found |= {f"{name}: {slice_}": rows for slice_, rows in slicer.slices(examples).items()}
        except NotApplicable as error:
            progress.note(f"no slices by {name}: {error}")
    return found
