"""The original and its exports, asked the same rows."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from fdpipe.arrays import Batch, in_batches, join, rows_in, take
from fdpipe.artifacts import Artifact, Case, Precision, Rows, SourceModel, Task
from fdpipe.content import files_below, tree_digest
from fdpipe.errors import ConversionError, OriginalLost, SourceError, StageError
from fdpipe.interfaces import Engine, Export, Processor, Runtime
from fdpipe.isolation import Original
from fdpipe.plan import Tolerance
from fdpipe.repro import Difference
from fdpipe.stages.cases import Question, fitted, moved, questions
from fdpipe.stages.parity import compare
from fdpipe.stages.thresholds import rows_at_thresholds

ALONE = 8
"""So many rows of the data the export is also asked one by one: a batch size that is built in shows."""


MOVES = 4
"""So many times the original is asked where its own rounding may show."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question, and what the original says to it: its answers to the rows that it takes, or its words of refusal."""

    question: Question
    rows: Batch = field(default_factory=dict)
    answers: Batch = field(default_factory=dict)
    refused: str = ""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """An export in one precision, with the processor around it, and what came of the comparison."""

    artifact: Artifact
    task: Task
    processor: Processor
    folder: Path
    precision: Precision
    asked: tuple[Asked, ...]
    cases: tuple[Case, ...] = ()
    difference: Difference | None = None


@dataclass(frozen=True, kw_only=True)
class Examiner:
    """All that an attempt needs; exports and the processor's files are written below `folder`."""

    original: Original
    model: SourceModel
    kind: str
    processor: Processor
    runtime: Runtime
    rows: Rows
    tolerance: Tolerance
    folder: Path

    def attempt(self, precision: Precision, asked: Sequence[Asked] = ()) -> Attempt:
        """Export it and compare, until the first difference. `asked` is what the original was asked already: another
        precision is asked the same."""
        place = self.folder / precision.value
        for name in ("model", "processor"):
            (place / name).mkdir(parents=True)
        export = self.original.export(place / "model", precision)
        artifact = artifact_of(export, self.kind)
        bound = self._bound(artifact, place / "processor")
        attempt = Attempt(
            artifact=artifact, task=export.task, processor=bound, folder=place, precision=precision,
            asked=tuple(asked or self._ask(artifact, bound)),
        )  # fmt: skip
        return self._compared(attempt)

    def _bound(self, artifact: Artifact, folder: Path) -> Processor:
        """The processor with what the model's files say; these may say anything."""
        try:
            return self.processor.bind(self.model, artifact.inputs, folder)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
            told = " ".join(f"{type(error).__name__} {error}".split())[:200]
            raise ConversionError(f"the files of {self.model.ref.name} do not say how its data is prepared: {told}") from error

    def _ask(self, artifact: Artifact, processor: Processor) -> Iterator[Asked]:
        """The original's part. It must answer the evaluation rows; of others it may refuse any."""
        features = self.rows.load().features
        try:
            processor.prepare(features)
        except ValueError as error:
            raise SourceError(f"the {self.rows.role} rows do not fit {self.model.ref.name}: {error}") from error
        first, *others = questions(features, self.model, artifact.inputs)
        yield Asked(question=first, rows=features, answers=self.original.predict(features))
        for question in others:
            yield self._answered(question, processor)
        typed = fitted(features, self.model, artifact.inputs)
        try:
            at_thresholds = rows_at_thresholds(artifact, processor, typed)
        except StageError as error:
            yield Asked(question=Question(name="thresholds", blocks=()), refused=str(error))
        else:
            if at_thresholds is not None:
                yield self._answered(Question(name="thresholds", blocks=(at_thresholds,)), processor)

    def _answered(self, question: Question, processor: Processor) -> Asked:
        """Its answers to all rows or, where it refuses these, to the blocks that it takes."""
        answers, refused = self._tried(question.rows, processor)
        if not refused:
            return Asked(question=question, rows=question.rows, answers=answers)
        blocks = question.blocks if len(question.blocks) > 1 else ()
        if taken := [block for block in blocks if not self._tried(block, processor)[1]]:
            answers, still_refused = self._tried(join(taken), processor)
            if not still_refused:
                return Asked(question=question, rows=join(taken), answers=answers)
        return Asked(question=question, refused=refused)

    def _tried(self, rows: Batch, processor: Processor) -> tuple[Batch, str]:
        """The original's answers, or the words of who refuses the rows: what the processor does not take no model sees."""
        try:
            processor.prepare(rows)
            return self.original.predict(rows), ""
        except OriginalLost:
            raise
        except (ValueError, ConversionError) as error:
            return {}, str(error) or type(error).__name__

    def _compared(self, attempt: Attempt) -> Attempt:
        cases: list[Case] = []
        try:
            with self._opened(attempt) as engine:
                for asked in attempt.asked:
                    case, difference = self._compare(attempt, engine, asked)
                    if difference is not None:
                        return replace(attempt, difference=difference)
                    cases.append(case)
        except OriginalLost:
            raise
        except StageError as error:
            told = f"the export cannot be opened: {error}"
            return replace(attempt, difference=_shown(told, attempt, attempt.asked[0], {}))
        return replace(attempt, cases=tuple(cases))

    def _compare(self, attempt: Attempt, engine: Engine, asked: Asked) -> tuple[Case, Difference | None]:
        """An export that takes no empty batch is as good: the service refuses one before."""
        name = asked.question.name
        case = Case(name=name, rows=0, refused=asked.refused)
        if asked.refused:
            return case, None
        try:
            exported = _run(engine, attempt.processor, asked)
        except (StageError, ValueError) as error:
            if name == "empty":
                return replace(case, refused=f"the export takes none: {error}"), None
            if not asked.question.judged:
                return Case(name=name, rows=rows_in(asked.rows), unjudged=f"the export refuses them: {error}"), None
            told = f"the export refuses what the original answers{_on(name)}: {error}"
            return case, _shown(told, attempt, asked, {}, _refused(engine, attempt, asked))
        settings = (name, attempt.task, asked.answers, exported, self.tolerance)
        found = compare(*settings, ties_count=not asked.question.made)
        if found.difference and asked.question.far:
            found = compare(*settings, ties_count=False, moved=self._moved(attempt, asked))
        if not found.difference:
            return found.case, None
        if not asked.question.judged:
            return Case(name=name, rows=rows_in(asked.rows), unjudged=found.difference), None
        told = f"the export answers otherwise{_on(name)}: {found.difference}"
        return found.case, _shown(told, attempt, asked, exported, found.rows)

    def _moved(self, attempt: Attempt, asked: Asked) -> list[Batch]:
        """The original's answers to the rows with their numbers rounded otherwise."""
        tried = [self._tried(moved(asked.rows, seed), attempt.processor) for seed in range(MOVES)]
        return [answers for answers, refused in tried if not refused]

    @contextmanager
    def _opened(self, attempt: Attempt) -> Iterator[Engine]:
        folder = attempt.folder / "opened"
        folder.mkdir()
        try:
            engine = self.runtime.open(self.runtime.ready(attempt.artifact, folder), {})
            try:
                yield engine
            finally:
                engine.close()
        finally:
            shutil.rmtree(folder)


def _run(engine: Engine, processor: Processor, asked: Asked) -> dict[str, np.ndarray]:
    """The export's answers."""
    tensors, at_once = processor.prepare(asked.rows), asked.question.at_once
    if rows_in(tensors) == 0:
        return processor.finish(engine.run(tensors))
    together = in_batches(tensors, at_once, engine.run)
    if asked.question.name != "evaluation":
        return processor.finish(together)
    alone = in_batches(take(tensors, slice(0, ALONE)), 1, engine.run)
    return processor.finish({name: np.concatenate([alone[name], array[ALONE:]]) for name, array in together.items()})


def _refused(engine: Engine, attempt: Attempt, asked: Asked) -> list[int]:
    """The first rows that the export refuses alone; none where only some together are."""
    tensors = attempt.processor.prepare(asked.rows)
    found: list[int] = []
    for row in range(rows_in(tensors)):
        try:
            engine.run(take(tensors, slice(row, row + 1)))
        except StageError:
            found.append(row)
        if len(found) == ALONE:
            break
    return found


def _on(name: str) -> str:
    return "" if name == "evaluation" else f" on the rows {name!r}"


def _shown(told: str, attempt: Attempt, asked: Asked, exported: Batch, worst: Sequence[int] = ()) -> Difference:
    """The difference with its worst rows, or the first ones where none is worse."""
    rows = np.array(worst or range(min(ALONE, rows_in(asked.rows))), int)
    tensors = attempt.processor.prepare(asked.rows)
    count = rows_in(asked.rows)
    ours, theirs = (
        {name: array for name, array in one.items() if array.shape[:1] == (count,)} for one in (asked.answers, exported)
    )
    return Difference(
        told=told, case=asked.question.name, records=take(asked.rows, rows), tensors=take(tensors, rows),
        original=take(ours, rows), exported=take(theirs, rows),
    )  # fmt: skip


def artifact_of(export: Export, kind: str) -> Artifact:
    """The export; what lies beside it, external weights, counts in its digest and its size."""
    if fixed := next((spec for spec in export.inputs if spec.shape[:1] != ("rows",)), None):
        raise ConversionError(f"input {fixed.name!r} has the shape {fixed.shape}: export it with a dynamic first axis")
    folder = export.path if export.path.is_dir() else export.path.parent
    return Artifact(
        kind=kind,
        path=export.path,
        digest=tree_digest(folder),
        size_bytes=sum(file.stat().st_size for file in files_below(folder)),
        inputs=export.inputs,
        outputs=export.outputs,
    )
