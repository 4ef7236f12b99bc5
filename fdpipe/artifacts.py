"""What passes between stages: frozen, typed, a JSON round trip, identified by content."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import numpy as np

from fdpipe.arrays import Batch, load_arrays, rows_in, take

# --- models and data --------------------------------------------------------------------------------------------------


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
    """The fetched original. `path` is its folder; `columns` says whether the inputs are a data frame's columns."""

    ref: ModelRef
    flavour: str
    serialization: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    columns: bool
    path: Path
    digest: str
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


LABELS = "__labels__"

GOLDEN_INPUT = "input."
GOLDEN_ANSWER = "answer."
"""The prefixes of the arrays in a release's golden.npz: the records' features by name, and the answers to them by name."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """The rows that a run uses; no row is in two of them."""

    evaluation: Rows
    calibration: Rows | None = None
    training: Rows | None = None
    provenance: Provenance | None = None


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A model in a form that a runtime opens: `kind` is `onnx`, `engine` or `native`, `path` a file or a folder.
    `digest` covers everything in `folder`: a model's weights may lie beside it."""

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
    """A worker as data, for what is shipped: `fdpipe.workers.build` makes the worker again."""

    room: str
    settings: Mapping[str, Any]

    def plain(self) -> dict[str, Any]:
        """The settings, which name the worker by `_target_`."""
        return dict(self.settings)


@dataclass(frozen=True, kw_only=True)
class Parity:
    """The certificate that the export answers like the original: on `rows` rows, `flips` labels differ, the largest
    difference (absolute for probabilities, relative for regression) stands at `worst_row`."""

    rows: int
    flips: int
    largest_difference: float
    worst_row: int | None
    tolerance: float


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The converted model before optimization, the processor around it, and the original's answers to compare with."""

    artifact: Artifact
    task: Task
    processor: WorkerSpec
    parity: Parity
    reference: Answers
    provenance: Provenance | None = None


# --- candidates -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """What calibration found: (low, high) by tensor name, from `rows` rows; `inputs` holds the graph inputs' ranges.

    `coverage` is the share of evaluation values that lie inside their input's range.
    """

    method: str
    rows: int
    data_digest: str
    values: Mapping[str, tuple[float, float]]
    inputs: Mapping[str, tuple[float, float]]
    coverage: float | None = None
    provenance: Provenance | None = None


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Runtime × recipe × session settings. Its name says the first two, and the settings where there are any."""

    runtime: str
    recipe: str
    session: Mapping[str, int | float | str | bool] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Unique within a run."""
        settings = ",".join(f"{key}={value}" for key, value in sorted(self.session.items()))
        return f"{self.runtime}/{self.recipe}" + (f"[{settings}]" if settings else "")


@dataclass(frozen=True, kw_only=True)
class Invariance:
    """Whether a row's answer depends on its batch-mates: labels (or values beyond the tolerance) that changed among
    `rows` rows asked alone, in batches of 8 and 32, and beside a 20-fold outlier."""

    rows: int
    changed: int
    largest_difference: float
    worst_setting: str


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Quality on the evaluation rows: each metric's value for the candidate and for the original; None is a missing or
    non-finite figure. `agreement` is the share of rows answered like the original."""

    rows: int
    quality: Mapping[str, float | None]
    reference: Mapping[str, float | None]
    agreement: float | None
    answers: Answers
    invariance: Invariance
    provenance: Provenance | None = None


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure with its confidence interval."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One candidate at one batch size. `ratio` is its time divided by the baseline's, paired; below 1 is faster."""

    batch: int
    calls: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    rows_per_s: float
    ratio: Interval | None


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where something was measured; `fingerprint` names it in keys and reports."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    instruction_sets: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Speed of one candidate on one machine, all candidates of the run interleaved. `peak_rss_mib` is that of a process
    which does nothing else than load it and run it; None where it was not measured."""

    candidate: str
    timings: tuple[Timing, ...]
    load_ms: float
    first_call_ms: float
    peak_rss_mib: float | None
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One benchmark run: the baseline and the finalists together, with threads and machine as they were."""

    measurements: tuple[Measurement, ...]
    baseline: str
    threads: int
    machine: Machine
    provenance: Provenance | None = None

    def of(self, candidate: str) -> Measurement | None:
        """The candidate's own measurement, if it was among the finalists."""
        return next((item for item in self.measurements if item.candidate == candidate), None)

    def overall(self, candidate: str) -> Interval | None:
        """The candidate's time divided by the baseline's: the geometric mean over the batch sizes, each end taken on its
        own, which makes the interval rather too wide than too narrow. None where a ratio is missing."""
        found = self.of(candidate)
        ratios = [timing.ratio for timing in found.timings] if found else []
        known = [ratio for ratio in ratios if ratio is not None]
        if not known or len(known) < len(ratios):
            return None
        low, middle, high = (geometric_mean([getattr(ratio, end) for ratio in known]) for end in ("low", "middle", "high"))
        return Interval(low=low, middle=middle, high=high)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One candidate tried. Where it failed or was skipped, `reason` says why and the rest is missing."""

    candidate: Candidate
    artifact: Artifact | None = None
    ranges: Ranges | None = None
    evaluation: Evaluation | None = None
    speed: Measured | None = None
    reason: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether it can go to the benchmark and the gate."""
        return self.artifact is not None and self.evaluation is not None


# --- verdict, release, deployment -------------------------------------------------------------------------------------


class Outcome(StrEnum):
    """The outcome of a check, of a verdict."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ANOMALOUS = "anomalous"


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One check on one candidate: `figure` against `limit`, both in `unit`; `reason` is the sentence for people."""

    check: str
    candidate: str
    outcome: Outcome
    reason: str
    figure: float | None = None
    limit: float | None = None
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The gate's decision: `passed` names the candidates that may ship, the best first."""

    outcome: Outcome
    passed: tuple[str, ...]
    results: tuple[CheckResult, ...]
    reason: str
    provenance: Provenance | None = None

    @property
    def rejection(self) -> Outcome:
        """The outcome of a run in which nothing was deployed: what the gate said or, after its pass, a failed proof."""
        return Outcome.FAIL if self.outcome is Outcome.PASS else self.outcome


@dataclass(frozen=True, kw_only=True)
class Release:
    """The chosen candidate as a Bento. The digest covers model bytes, processor, runtime, session settings and serving
    code; `path` is the Bento's folder, `manifest` its `release.json`, `golden` the requests with known answers."""

    service: str
    model: ModelRef
    target: str
    candidate: Candidate
    digest: str
    path: Path
    manifest: Path
    golden: Path
    artifact: Artifact
    processor: WorkerSpec
    runtime: WorkerSpec
    task: Task
    provenance: Provenance | None = None


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """`release.json`, all that the service needs to know; paths are relative to its folder.

    `inputs` describes the records that callers send, `answers` what they get back; `input_ranges` were seen in calibration.
    `digest` is the release's; where it is deployed (host, port) is no part of a release.
    """

    service: str
    digest: str
    model: ModelRef
    target: str
    candidate: Candidate
    task: Task
    artifact: Artifact
    processor: WorkerSpec
    runtime: WorkerSpec
    monitors: Mapping[str, WorkerSpec]
    inputs: tuple[TensorSpec, ...]
    answers: tuple[TensorSpec, ...]
    input_ranges: Mapping[str, tuple[float, float]]
    timeout_s: float
    max_body_mib: float
    versions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What the started release answered to the golden requests, over each protocol."""

    release: str
    requests: int
    wrong: int
    protocols: tuple[str, ...]
    largest_difference: float
    reason: str
    provenance: Provenance | None = None

    @property
    def holds(self) -> bool:
        """Whether the release may be deployed."""
        return self.wrong == 0 and self.requests > 0

    def covers(self, release: Release) -> bool:
        """Whether it holds, and for this very release."""
        return self.holds and self.release == release.digest


PORTS = 3
"""A service has this many ports in a row: BentoML's API with the metrics, the Open Inference Protocol's REST, its gRPC."""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A running release. `changed` is false where the same release ran already; `url` is empty after a dry run."""

    service: str
    release: str
    url: str
    changed: bool


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """The gate, or the proof, refused every candidate."""

    outcome: Outcome
    reason: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """One execution of a plan that came to a result, which is one of `deployment` and `rejection`."""

    model: ModelRef
    target: str
    baseline: Baseline
    data: Data
    trials: tuple[Trial, ...]
    measured: Measured
    verdict: Verdict
    release: Release | None
    proof: Proof | None
    deployment: Deployment | None
    rejection: Rejection | None
    skipped_runtimes: Mapping[str, str] = field(default_factory=dict)
    incumbent: str | None = None
