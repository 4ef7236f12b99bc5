"""What becomes of every estimator of scikit-learn; written to docs/estimators.md.

Each is fitted to real data, registered as MLflow registers it, and goes through the stage `convert` with its certificate.
"""

import io
import logging
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.common import Figure, figure
from bench.subjects import Subject, compositions, names, subject_of
from fdpipe import __version__
from fdpipe.arrays import save_arrays
from fdpipe.artifacts import ModelRef, Precision, Rows, SourceModel
from fdpipe.content import tree_digest
from fdpipe.converter.sklearn import Sklearn
from fdpipe.errors import ConversionError, FdpipeError
from fdpipe.mlmodel import describe
from fdpipe.plan import Conversion, Isolation, Tolerance
from fdpipe.processor.none import Plain
from fdpipe.processor.tabular import Tabular
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.stages.convert import convert
from fdpipe.store import LocalStore

PAGE = Path(__file__).parent.parent / "docs" / "estimators.md"

AGREES, CURED, REFUSED = "agrees", "agrees in float64", "refused"

PROMISED = 97
"""So many of scikit-learn's own list convert and agree."""

TOLD = 160
"""So many characters of a refusal stand in the table."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one: its `kind`, the format of its file, and in `told` the refusal's words or why float64 was needed."""

    name: str
    kind: str
    file: str
    result: str
    told: str = ""

    @property
    def agrees(self) -> bool:
        """Whether it converts and answers alike."""
        return self.result != REFUSED


def outcome_of(subject: Subject) -> Outcome:
    """Register it and convert it; whatever is no `FdpipeError` comes out."""
    said = io.StringIO()
    with warnings.catch_warnings(), redirect_stdout(said), redirect_stderr(said), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        store = LocalStore(Path(folder))
        (store.root / "given").mkdir()
        model = _registered(subject, store.root / "given" / "fetched")
        common = {"name": subject.name, "kind": _kind_of(subject.estimator), "file": model.serialization}
        try:
            parity = convert(
                store, {"sklearn": Sklearn()}, {"none": Plain(), "tabular": Tabular()}, {"onnxruntime": OnnxRuntime()},
                model, _rows_of(subject, store.root / "given"), Conversion(isolation=Isolation.IN_PROCESS), Tolerance(),
            ).parity  # fmt: skip
        except FdpipeError as error:
            return Outcome(**common, result=REFUSED, told=str(error).partition("; to see it again")[0])
        cured = parity.precision is Precision.FLOAT64
        return Outcome(**common, result=CURED if cured else AGREES, told=parity.cure)


def _registered(subject: Subject, folder: Path) -> SourceModel:
    """In MLflow's sklearn flavour, as skops or, where fdpipe would not load that, as a trusted pickle."""
    import skops.io
    from skops.io.exceptions import UnsupportedTypeException

    try:
        types = skops.io.get_untrusted_types(data=skops.io.dumps(subject.estimator))
        model = _saved(subject, folder, skops_trusted_types=types)
        Sklearn().load(model)
    except (UnsupportedTypeException, ConversionError):
        shutil.rmtree(folder, ignore_errors=True)
        return _saved(subject, folder, serialization_format="cloudpickle")
    return model


def _saved(subject: Subject, folder: Path, **settings: Any) -> SourceModel:  # noqa: ANN401 - MLflow's own
    import mlflow.sklearn
    from mlflow.models import infer_signature

    signature = infer_signature(subject.rows)
    requirements = ["scikit-learn"]  # without them, MLflow looks for them, which takes seconds
    mlflow.sklearn.save_model(subject.estimator, str(folder), signature=signature, pip_requirements=requirements, **settings)
    ref = ModelRef(name=subject.name, version="1", uri=f"models:/{subject.name}/1", digest=tree_digest(folder))
    return describe(ref, folder, trusted=True)


def _rows_of(subject: Subject, folder: Path) -> Rows:
    """The rows as fetched evaluation rows."""
    rows = subject.rows.to_frame() if isinstance(subject.rows, pd.Series) else subject.rows
    if isinstance(rows, pd.DataFrame):
        arrays = {str(name): rows[name].to_numpy(None if rows[name].dtype.kind in "biuf" else str) for name in rows}
    else:
        arrays = {"input": np.asarray(rows)}
    digest = save_arrays(folder / "rows.npz", arrays)
    return Rows(role="evaluation", path=folder / "rows.npz", digest=digest, count=len(rows), labelled=False)


def _kind_of(estimator: Any) -> str:  # noqa: ANN401 - an estimator has no type of its own
    from sklearn import base

    for kind in ("classifier", "regressor", "clusterer", "outlier_detector"):
        if getattr(base, f"is_{kind}")(estimator):
            return kind.replace("_", " ")
    return "transformer" if hasattr(estimator, "transform") else "other"


def page(estimators: Sequence[Outcome], composed: Sequence[Outcome]) -> str:
    """The page's text."""
    counts = Counter(one.result for one in estimators)
    tools = ", ".join(f"{name} {version(name)}" for name in ("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy"))
    summed = f"{counts[AGREES] + counts[CURED]} of {len(estimators)} convert and agree, {counts[CURED]} of them in float64 only"
    return "\n".join(
        [
            "# Estimators of scikit-learn",
            "",
            f"`make bench-estimators` wrote this page: fdpipe {__version__}, {time.strftime('%Y-%m-%d')}, {tools}.",
            "",
            "Each estimator of `sklearn.utils.all_estimators()` was fitted to real data, with its default settings or what it",
            "cannot do without (ensembles have 20 trees), registered with MLflow, converted, and compared with its export by",
            f"the certificate that every conversion gets. {summed};",
            f"the other {counts[REFUSED]} end in a refusal, with these words. A file that fdpipe would not load as skops was",
            "registered as a pickle.",
            "",
            *_table(estimators),
            "",
            "## Compositions",
            "",
            *_table(composed),
            "",
        ]
    )


def _table(outcomes: Iterable[Outcome]) -> list[str]:
    lines = ["| estimator | kind | file | result | why |", "|---|---|---|---|---|"]
    for one in outcomes:
        told = one.told if len(one.told) <= TOLD else f"{one.told[:TOLD].rstrip()} …"
        lines.append(f"| {one.name} | {one.kind} | {one.file} | {one.result} | {told.replace('|', '/')} |")
    return lines


def measure() -> list[Figure]:
    """Convert them all and write the page."""
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as home:
        os.environ["FDPIPE_HOME"] = home  # each refusal leaves a bundle there
        estimators = [_shown(subject_of(name)) for name in names()]
        composed = [_shown(subject) for subject in compositions()]
    PAGE.write_text(page(estimators, composed))
    missing = sum(not one.agrees for one in estimators)
    limit = len(estimators) - PROMISED + 1
    return [figure("estimators that do not convert and agree", [missing], unit=f"of {len(estimators)}", limit=limit)]


def _shown(subject: Subject) -> Outcome:
    started = time.perf_counter()
    found = outcome_of(subject)
    print(f"{time.perf_counter() - started:5.1f} s  {found.name}: {found.result}  {found.told[:TOLD]}", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(0 if all(one.holds for one in measure()) else 1)
