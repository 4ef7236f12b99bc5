"""What becomes of a sample: it goes through the stage `convert` as in a run, and every way to fail is a row of its own."""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from bench.formats.families import ROOT, Family
from bench.formats.samples import MODEL, ROWS, Made, read
from fdpipe import workers
from fdpipe.arrays import load_arrays, rows_in, save_arrays
from fdpipe.artifacts import ModelRef, Parity, Precision, Rows, SourceModel
from fdpipe.content import tree_digest
from fdpipe.errors import FdpipeError
from fdpipe.interfaces import Converter
from fdpipe.isolation import environments
from fdpipe.mlmodel import describe
from fdpipe.plan import Conversion, Isolation, Tolerance
from fdpipe.stages.convert import convert
from fdpipe.store import LocalStore

AGREES, CURED, REFUSED, FAILED = "agrees", "agrees in float64", "refused", "failed"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One row. `difference` and `cosine` are the worst of all cases of the certificate; `told` is the cure, or the words of
    the refusal; `seconds` do not count the building of the environment."""

    made: Made
    result: str
    where: Isolation
    converter: str = ""
    difference: float | None = None
    cosine: float | None = None
    seconds: float | None = None
    told: str = ""


def outcome_of(family: Family, folder: Path) -> Outcome:
    """Convert the sample in this folder."""
    made = read(folder)
    unfinished = Outcome(made=made, result=FAILED, where=family.isolation)
    if made.failure:
        return replace(unfinished, told=made.failure)
    converter = ""
    started = time.perf_counter()
    try:
        model = _model(made, folder / MODEL)
        converters = _converters(made)
        converter = next(name for name, one in converters.items() if one.accepts(model))
        if family.isolation is Isolation.VENV:
            environments.interpreter(converters[converter], model)
        started = time.perf_counter()
        parity = _converted(family, model, {converter: converters[converter]}, made, folder)
    except FdpipeError as error:
        told = str(error).partition("; to see it again")[0]
        return replace(unfinished, result=REFUSED, converter=converter, told=told, seconds=time.perf_counter() - started)
    except Exception as error:
        told = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return replace(unfinished, converter=converter, told=told, seconds=time.perf_counter() - started)
    cosines = [case.cosine for case in parity.cases if case.cosine is not None]
    return Outcome(
        made=made,
        result=CURED if parity.precision is Precision.FLOAT64 else AGREES,
        where=family.isolation,
        converter=converter,
        difference=max((case.largest_difference for case in parity.cases), default=parity.largest_difference),
        cosine=min(cosines, default=None),
        seconds=time.perf_counter() - started,
        told=parity.cure,
    )


def _converted(family: Family, model: SourceModel, converters: Mapping[str, Converter], made: Made, folder: Path) -> Parity:
    with tempfile.TemporaryDirectory() as scratch:
        store = LocalStore(Path(scratch, "store"))
        baseline = convert(
            store,
            converters=converters,
            processors=_workers("processor"),
            runtimes={made.runtime: _workers("runtime")[made.runtime]},
            model=model,
            rows=_rows(folder / ROWS, Path(scratch)),
            how=Conversion(isolation=family.isolation),
            tolerance=Tolerance(),
        )
        return baseline.parity


def _model(made: Made, folder: Path) -> SourceModel:
    ref = ModelRef(name=made.name, version="1", uri=f"models:/{made.name}/1", digest=tree_digest(folder))
    return describe(ref, folder, trusted=made.trusted)


def _converters(made: Made) -> dict[str, Converter]:
    """Those that make what the sample's runtime opens; its settings go to those that know them."""
    kinds = _workers("runtime")[made.runtime].kinds
    found = {name: one for name, one in _workers("converter").items() if one.kind in kinds}
    return {name: _told(one, made.settings) for name, one in found.items()}


def _told(converter: Converter, settings: Mapping[str, Any]) -> Converter:
    described = workers.describe(converter)
    if not settings or not settings.keys() <= described.keys():
        return converter
    told: Converter = workers.build("converter", described | dict(settings))
    return told


def _workers(room: str) -> dict[str, Any]:
    """Every worker of a room, as its file has it."""
    files = sorted((ROOT / "conf" / room).glob("*.yaml"))
    return {file.stem: workers.build(room, yaml.safe_load(file.read_text())) for file in files}


def _rows(path: Path, folder: Path) -> Rows:
    arrays = load_arrays(path)
    digest = save_arrays(folder / ROWS, arrays)
    return Rows(role="evaluation", path=folder / ROWS, digest=digest, count=rows_in(arrays), labelled=False)
