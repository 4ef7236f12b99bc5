"""convert: the original as ONNX, with a certificate that both answer alike."""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from fdpipe import isolation, repro, workers
from fdpipe.arrays import save_arrays, take
from fdpipe.artifacts import Answers, Baseline, Precision, Rows, SourceModel
from fdpipe.errors import ConversionError, NotApplicable, OriginalLost
from fdpipe.interfaces import Converter, Processor, Runtime
from fdpipe.plan import Conversion, Tolerance
from fdpipe.stages.examine import ALONE, Attempt, Examiner
from fdpipe.stages.parity import certify
from fdpipe.store import stage

Worker = TypeVar("Worker", Converter, Processor)


@stage()
def convert(
    folder: Path,
    converters: Mapping[str, Converter],
    processors: Mapping[str, Processor],
    runtimes: Mapping[str, Runtime],
    model: SourceModel,
    rows: Rows,
    how: Conversion,
    tolerance: Tolerance,
) -> Baseline:
    """The first converter that accepts the model and makes what one of the runtimes opens, and the first processor that
    accepts it. Its export must answer like the original on all rows of `fdpipe.stages.cases`: in float32 or, where that is
    too different, in float64. `ConversionError`, with what is needed to repeat it, where neither does."""
    converter, runtime = _converter(converters, runtimes, model)
    processor = _first("processor", processors, model)
    isolation.refuse_code(converter, model)
    evidence = repro.Evidence(
        model=model, runtime=runtime, tolerance=tolerance, command=_command(converters, model, how, tolerance),
        records=take(rows.load().features, slice(0, ALONE)),
    )  # fmt: skip
    with (
        repro.kept(evidence),
        _scratch(folder) as scratch,
        isolation.opened(converter, model, how, scratch) as original,
    ):
        evidence.versions = dict(original.versions)
        examiner = Examiner(
            original=original, model=model, kind=converter.kind, processor=processor, runtime=runtime, rows=rows,
            tolerance=tolerance, folder=folder,
        )  # fmt: skip
        single = examiner.attempt(Precision.FLOAT32)
        if single.difference is None:
            return _baseline(folder, examiner, converter, single)
        evidence.artifact, evidence.difference = single.artifact, single.difference
        double = _double(examiner, single)
        shutil.rmtree(single.folder)
        return _baseline(folder, examiner, converter, double, cure=f"in float32, {single.difference.told}")


def _double(examiner: Examiner, single: Attempt) -> Attempt:
    """The attempt in float64, asked the same; `ConversionError` with both differences where it does not hold either."""
    told = single.difference.told if single.difference else ""
    try:
        double = examiner.attempt(Precision.FLOAT64, single.asked)
    except OriginalLost:
        raise
    except NotApplicable as error:
        raise ConversionError(f"{told}; there is no export in float64: {error}") from error
    except ConversionError as error:
        raise ConversionError(f"{told}; in float64, {error}") from error
    if double.difference is not None:
        raise ConversionError(f"{told}; in float64, {double.difference.told}")
    return double


def _baseline(folder: Path, examiner: Examiner, converter: Converter, attempt: Attempt, cure: str = "") -> Baseline:
    """What is kept of an attempt that holds, with its certificate."""
    model, reference = examiner.model, attempt.asked[0].answers
    evidence = {
        "model": {"name": model.ref.name, "version": model.ref.version, "digest": model.digest},
        "export": {"kind": attempt.artifact.kind, "digest": attempt.artifact.digest, "bytes": attempt.artifact.size_bytes},
        "rows": {"role": examiner.rows.role, "digest": examiner.rows.digest},
        "converter": {"name": type(converter).__name__, "versions": dict(sorted(examiner.original.versions.items()))},
        "runtime": {"name": type(examiner.runtime).__name__, "versions": repro.versions_of(examiner.runtime.packages)},
    }
    parity = certify(
        folder / "parity.json", attempt.cases, task=attempt.task, tolerance=examiner.tolerance, precision=attempt.precision,
        cure=cure, evidence=evidence,
    )  # fmt: skip
    path = folder / "reference.npz"
    return Baseline(
        artifact=attempt.artifact,
        task=attempt.task,
        processor=workers.spec("processor", attempt.processor, _files_of(attempt.folder / "processor")),
        parity=parity,
        reference=Answers(path=path, digest=save_arrays(path, reference)),
    )


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    scratch = folder / "scratch"
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch)


def _files_of(folder: Path) -> Path | None:
    """The folder, if the processor has written something into it."""
    if any(folder.iterdir()):
        return folder
    folder.rmdir()
    return None


def _command(converters: Iterable[str], model: SourceModel, how: Conversion, tolerance: Tolerance) -> str:
    """The command that converts this version again, with what the plan says otherwise than the defaults."""
    only = list(converters)
    words = [
        f"fdpipe run model={model.ref.name}/{model.ref.version}",
        *([f"source.trust={model.ref.name}"] if model.trusted else []),
        *([f"converter={only[0]}"] if len(only) == 1 else []),
        *_changed("converter", how, Conversion()),
        *_changed("parity", tolerance, Tolerance()),
    ]
    return " ".join(words)


def _changed(group: str, settings: Conversion | Tolerance, usual: Conversion | Tolerance) -> list[str]:
    names = [item.name for item in fields(settings)]
    return [f"{group}.{name}={value}" for name in names if (value := getattr(settings, name)) != getattr(usual, name)]


def chosen(
    converters: Mapping[str, Converter],
    processors: Mapping[str, Processor],
    runtimes: Mapping[str, Runtime],
    model: SourceModel,
) -> tuple[dict[str, Converter], dict[str, Processor], dict[str, Runtime]]:
    """Of each, the one that `convert` would use: so that its result does not depend on the others. `ConversionError` where
    there is none."""
    converter, runtime = _converter(converters, runtimes, model)
    processor = _first("processor", processors, model)
    return _only(converter, converters), _only(processor, processors), _only(runtime, runtimes)


def _only(wanted: Any, choices: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - of any room
    return {name: one for name, one in choices.items() if one is wanted}


def _converter(
    converters: Mapping[str, Converter], runtimes: Mapping[str, Runtime], model: SourceModel
) -> tuple[Converter, Runtime]:
    """The converter, and the first runtime that opens what it makes."""
    useful = {name: one for name, one in converters.items() if opening(runtimes, one.kind)}
    if converters and not useful:
        kinds = ", ".join(dict.fromkeys(one.kind for one in converters.values()))
        told = f"no model is converted for runtime={','.join(runtimes)} alone"
        raise ConversionError(f"{told}: choose one as well that opens {kinds}, such as onnxruntime")
    try:
        converter = _first("converter", useful, model)
    except ConversionError as error:
        others = [name for name, one in converters.items() if name not in useful and one.accepts(model)]
        hint = f"; it can be served as it is: runtime={others[0]}" if others else ""
        raise ConversionError(f"{error}{hint}") from error
    return converter, next(iter(opening(runtimes, converter.kind).values()))


def opening(runtimes: Mapping[str, Runtime], kind: str) -> dict[str, Runtime]:
    """Those of the runtimes that take such an artifact."""
    return {name: one for name, one in runtimes.items() if kind in one.kinds}


def _first(room: str, choices: Mapping[str, Worker], model: SourceModel) -> Worker:
    for worker in choices.values():
        if worker.accepts(model):
            return worker
    kind = f"{model.flavour} model" + (" with columns" if model.columns else "")
    raise ConversionError(f"no {room} takes {model.ref.name}, a {kind}: there are {', '.join(choices) or 'none'}")
