"""Models and data: what is fetched, converted and opened."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from fdpipe.arrays import Batch, load_arrays, rows_in, take


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How an artifact came to be: the stage, a digest of its settings, its parents' digests, tool versions, and the
    machine's fingerprint where the result depends on the machine."""

    stage: str
    key: str
    settings: str
    parents: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: str | None = None

    def plain(self) -> None:
        """Not part of an artifact's identity, which is its content."""


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """One input or output: its numpy dtype name (or `string`), and its axes, a word for each symbolic one."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Precision(StrEnum):
    """The floats in which an export computes; a value is a numpy dtype's name."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"


class Task(StrEnum):
    """What the model answers, which says how answers are compared."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"
    TENSORS = "tensors"


@dataclass(frozen=True, kw_only=True)
class ModelRef:
    """A registered model version, pinned by its files' digest. `run_id` is the training run, where there was one."""

    name: str
    version: str
    uri: str
    digest: str
    run_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class SourceModel:
    """The fetched original. `path` is its folder; `columns` says whether the inputs are a data frame's columns; `trusted`
    whether the user lets this model run the code that its files may hold."""

    ref: ModelRef
    flavour: str
    serialization: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    columns: bool
    path: Path
    digest: str
    trusted: bool = False
    provenance: Provenance | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Examples:
    """Rows in memory: `features` by input or column name, `labels` of shape (rows, …) or None.

    A missing number is NaN and a missing string is empty.
    """

    features: Batch
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return rows_in(self.features)

    def take(self, rows: slice | np.ndarray) -> "Examples":
        """The rows that the index names, in its order."""
        return Examples(features=take(self.features, rows), labels=None if self.labels is None else self.labels[rows])


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A data set that was fetched: `path` is an npz file, with one array a feature and `label` under `LABELS`."""

    role: str
    path: Path
    digest: str
    count: int
    labelled: bool
    provenance: Provenance | None = None

    def load(self) -> Examples:
        """Read the file."""
        arrays = load_arrays(self.path)
        labels = arrays.pop(LABELS, None)
        return Examples(features=arrays, labels=labels)

    def labels(self) -> np.ndarray | None:
        """The labels alone; None where there are none."""
        return load_arrays(self.path, LABELS).get(LABELS)


MIB = 1 << 20
"""Bytes in the one unit in which memory and files are told."""

LABELS = "__labels__"


GOLDEN_INPUT = "input."


GOLDEN_ANSWER = "answer."


GOLDEN_TOGETHER = "together."

"""The prefixes of the arrays in a release's golden.npz: the records' features by name; the answers to them by name; and of a
release that is not batchable, whose `answer.` are those to each row alone, the answers to all rows in one request."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """The rows that a run uses; no row is in two of them."""

    evaluation: Rows
    calibration: Rows | None = None
    training: Rows | None = None
    provenance: Provenance | None = None


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A model in a form that a runtime opens: `kind` is `onnx`, `openvino` or `mlflow` (the original itself), or an engine
    of one runtime; `path` a file or a folder. `digest` covers everything in `folder`: weights may lie beside the model."""

    kind: str
    path: Path
    digest: str
    size_bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    provenance: Provenance | None = None

    @property
    def folder(self) -> Path:
        """The folder that is the model, or that holds its file and nothing else."""
        return self.path if self.path.is_dir() else self.path.parent

    @property
    def size_mib(self) -> float:
        """Its files, in the unit that people are told."""
        return self.size_bytes / MIB


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A model's answers on the evaluation rows, in their order: an npz file of arrays by answer name."""

    path: Path
    digest: str

    def load(self) -> dict[str, np.ndarray]:
        """Read the file."""
        return load_arrays(self.path)


@dataclass(frozen=True, kw_only=True)
class WorkerSpec:
    """A worker as data, for what is shipped: `fdpipe.workers.build_spec` makes the worker again. `folder` holds the files
    that it needs, `digest` is theirs; the worker has them in its field `folder`."""

    room: str
    settings: Mapping[str, Any]
    folder: Path | None = None
    digest: str = ""

    def plain(self) -> dict[str, Any]:
        """The settings, which name the worker by `_target_`, and the digest of its files."""
        return dict(self.settings) | ({"files": self.digest} if self.digest else {})


@dataclass(frozen=True, kw_only=True)
class Case:
    """One set of rows on which the original and its export were compared.

    `flips` labels differ; `largest_difference` (absolute for probabilities, relative for other figures) stands at
    `worst_row`, and `quantiles` of the rows' differences are by name (`p50`, `p90`, `p99`); `cosine` is the smallest, where
    answers are tensors. `excused` rows, which no figure has, are apart by no more than the original's own answers are when
    their numbers are rounded otherwise. `refused` has the words where such rows are not taken: nothing was compared.
    `unjudged` has the difference where the two are apart on rows that no caller has reason to send.
    """

    name: str
    rows: int
    flips: int = 0
    largest_difference: float = 0.0
    quantiles: Mapping[str, float] = field(default_factory=dict)
    cosine: float | None = None
    worst_row: int | None = None
    excused: int = 0
    refused: str = ""
    unjudged: str = ""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """The certificate that the export answers like the original. The figures are those of the evaluation rows; `cases` has
    them again, and those of every other set of rows. `cure` says how far the float32 export was from the original, where
    one in float64 had to take its place. `path` is the certificate as JSON, with all that identifies both."""

    rows: int
    flips: int
    largest_difference: float
    worst_row: int | None
    tolerance: float
    cases: tuple[Case, ...] = ()
    precision: Precision = Precision.FLOAT32
    cure: str = ""
    path: Path | None = None
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The converted model before optimization, the processor around it, and the original's answers to compare with."""

    artifact: Artifact
    task: Task
    processor: WorkerSpec
    parity: Parity
    reference: Answers
    provenance: Provenance | None = None
