"""stress: the finalists on corrupted rows, beside the converted model as it is on the same ones."""

import errno
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

import numpy as np

from fdpipe import progress, workers
from fdpipe.arrays import Batch, in_batches, rows_in, save_arrays
from fdpipe.artifacts import Answers, Provenance, Rows, Stress, Task, WorkerSpec
from fdpipe.errors import NotApplicable, StageError, StoreError
from fdpipe.interfaces import Corruption, Engine, Metric, Processor
from fdpipe.stages.benchmark import Contender
from fdpipe.stages.evaluate import BATCH, agrees, labels_beside, own_labels, scores
from fdpipe.stages.sound import fault
from fdpipe.store import stage

FULL = (errno.ENOSPC, errno.EDQUOT)
"""A disk without space for anybody."""


@dataclass(frozen=True, kw_only=True)
class Stressed:
    """What became of each finalist, by its name, under each corruption that the rows and the baseline could bear."""

    by_candidate: Mapping[str, tuple[Stress, ...]] = field(default_factory=dict)
    provenance: Provenance | None = None


@stage(machine_bound=True)
def stress(
    folder: Path,
    contenders: tuple[Contender, ...],
    processor: WorkerSpec,
    task: Task,
    rows: Rows,
    reference: Answers,
    corruptions: Mapping[str, Corruption],
    metrics: Mapping[str, Metric],
    seed: int = 0,
) -> Stressed:
    """Every contender on the corrupted rows, of which the first is the baseline. That stands for the original, which it was
    proved to be equal to on these rows and on those at the edges: the original itself is not asked again.

    Labels stay those of the rows and, for metrics that need none, the original's answers to the rows as they were
    (`reference`): what is scored is how far corruption moves an answer. Where no metric can be asked, quality is the agreement
    with the baseline on the corrupted rows. A contender that cannot answer what the baseline can, or whose answers are
    at `fault` beside those, has no figures. A corruption that does not suit the rows, or to which the baseline has no answer or
    no figure, is left out and told; `StageError` where the baseline cannot be opened, and `StoreError` where the disk is full.
    """
    bound: Processor = workers.build_spec(processor)
    examples, original = rows.load(), reference.load()
    judging = _Judging(metrics=metrics, task=task, labels=labels_beside(examples.labels, original), original=original)
    baseline, *others = contenders
    borne: dict[str, Batch] = {}
    tensors = _prepared(corruptions, examples.features, bound, seed)
    with _opened(baseline) as engine:
        for name, batch in tensors.items():
            answers, reason = _answers(engine, bound, batch, rows.count)
            if reason or (reason := _unanswered(answers) or judging.lacks(answers)):
                progress.note(f"not stressed by {name}: the baseline cannot bear it: {reason}")
            else:
                borne[name] = answers
    kept = {name: _kept(folder, name, baseline, answers) for name, answers in borne.items()}
    figures = {name: judging.figures(answers, answers) for name, answers in borne.items()}
    found = {
        baseline.candidate.name: tuple(
            Stress(
                corruption=name, rows=rows.count, quality=figures[name], reference=figures[name], answers=kept[name],
                baseline_answers=kept[name],
            )
            for name in borne
        )
    }  # fmt: skip
    for one in others:
        results = []
        for name, (answers, reason) in _all_answers(one, bound, {name: tensors[name] for name in borne}, rows.count).items():
            if not reason and (found_fault := fault(answers, borne[name], "the baseline")):
                reason = found_fault[0]
            if reason:
                progress.note(f"{one.candidate.name} cannot answer rows with {name}: {reason}")
            own = dict.fromkeys(figures[name]) | ({} if reason else judging.figures(answers, borne[name]))
            results.append(
                Stress(
                    corruption=name, rows=rows.count, quality=own, reference=figures[name],
                    answers=_kept(folder, name, one, answers), baseline_answers=kept[name],
                )
            )  # fmt: skip
        found[one.candidate.name] = tuple(results)
    return Stressed(by_candidate=found)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Judging:
    """What answers to corrupted rows are judged by."""

    metrics: Mapping[str, Metric]
    task: Task
    labels: np.ndarray | None
    original: Batch

    def figures(self, answers: Batch, baseline: Batch) -> dict[str, float | None]:
        """Each metric's; where none can be asked, the agreement with the baseline's answers to the same corrupted rows."""
        found = scores(self.metrics, answers, self.labels, own_labels(self.task, self.original), self.original)
        return found or {"agreement": float(np.mean(agrees(self.task, answers, baseline)))}

    def lacks(self, answers: Batch) -> str:
        """Which figures these answers of the baseline have not; empty where they have all."""
        lacking = [name for name, figure in self.figures(answers, answers).items() if figure is None]
        return f"its {', '.join(lacking)} has no figure" if lacking else ""


def _prepared(corruptions: Mapping[str, Corruption], features: Batch, bound: Processor, seed: int) -> dict[str, Batch]:
    """The graph's inputs under each corruption that suits the rows. Each has random numbers of its own: leaving one out changes
    no other."""
    found: dict[str, Batch] = {}
    for name, corruption in corruptions.items():
        try:
            found[name] = bound.prepare(corruption.corrupt(features, np.random.default_rng([seed, crc32(name.encode())])))
        except (NotApplicable, ValueError) as error:
            progress.note(f"not stressed by {name}: {' '.join(str(error).split())}")
    return found


def _all_answers(
    contender: Contender, bound: Processor, tensors: Mapping[str, Batch], rows: int
) -> dict[str, tuple[Batch, str]]:
    """The answers under each corruption; one that cannot even be opened has none."""
    try:
        opened = _opened(contender)
    except StoreError:
        raise
    except StageError as error:
        return {name: ({}, _line(error)) for name in tensors}
    with opened as engine:
        return {name: _answers(engine, bound, batch, rows) for name, batch in tensors.items()}


def _opened(contender: Contender) -> "closing[Engine]":
    """The engine; `StageError` for whatever a library says where it cannot be opened."""
    try:
        return closing(contender.open())
    except Exception as error:
        if _is_ours(error) or isinstance(error, StageError):
            raise
        raise StageError(f"{contender.candidate.name} cannot be opened: {_line(error)}") from error


def _answers(engine: Engine, bound: Processor, batch: Batch, rows: int) -> tuple[Batch, str]:
    """What it answers; or nothing, and why: any library may raise anything."""
    try:
        answers = in_batches(batch, BATCH, lambda part: bound.finish(engine.run(part)))
    except Exception as error:
        if _is_ours(error):
            raise
        return {}, _line(error)
    if any(len(array) != rows for array in answers.values()) or not answers:
        return {}, f"there must be {rows} answers, got {rows_in(answers)}"
    return answers, ""


def _unanswered(answers: Batch) -> str:
    """What of the baseline's answers is none; empty where all are."""
    some = any(np.isnan(array).any() for array in answers.values() if array.dtype.kind == "f")
    return "some of the answers are NaN" if some else ""


def _is_ours(error: Exception) -> bool:
    """Whether it would befall every contender, as a full disk does, whoever writes to it."""
    return isinstance(error, StoreError) or (isinstance(error, OSError) and error.errno in FULL)


def _line(error: Exception) -> str:
    said = str(error) if isinstance(error, StageError) else f"{type(error).__name__}: {error}"
    return " ".join(said.split())


def _kept(folder: Path, name: str, contender: Contender, answers: Batch) -> Answers:
    place = folder / name / f"{crc32(contender.candidate.name.encode()):08x}.npz"
    place.parent.mkdir(exist_ok=True)
    return Answers(path=place, digest=save_arrays(place, answers))
