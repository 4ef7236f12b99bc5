"""Verdicts, releases, deployments, and the record of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fdpipe.artifacts.load import LoadResult
from fdpipe.artifacts.models import (
    Artifact,
    Baseline,
    Data,
    ModelRef,
    Provenance,
    Task,
    TensorSpec,
    WorkerSpec,
)
from fdpipe.artifacts.speed import Measured
from fdpipe.artifacts.traffic import Expected, Traffic
from fdpipe.artifacts.trials import Candidate, CheckResult, Outcome, Stress, Trial


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

    def of(self, candidate: str) -> tuple[CheckResult, ...]:
        """What every check said of the candidate with this name."""
        return tuple(one for one in self.results if one.candidate == candidate)


@dataclass(frozen=True, kw_only=True)
class Appraisal:
    """What a run found of a model version, as a registry keeps it: figures and settings by name, found on the rows of this
    digest; the files that say more."""

    run: str
    target: str
    verdict: str
    figures: Mapping[str, float]
    settings: Mapping[str, str]
    rows_digest: str
    files: tuple[Path, ...]


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
    `digest` is the release's; where it is deployed (host, port) is no part of a release. One that is not `batchable` answers
    each request alone: the rows of a request are computed together, as their caller sent them, and never with those of another.
    `traffic` is how it takes its requests.
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
    batchable: bool = True
    traffic: Traffic = Traffic()


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What the started release answered to the golden requests, over each protocol, and how fast it was then.

    `loads` are one caller and several, each asking for one row after the other; beside them `promised_ms`, the benchmark's
    median for one row, `expected`, which the service's sizes were derived for, and `bare_ms`, the median of a request that asks
    for no inference; `told` has it in words. `note` says where the service is far
    slower than these explain or was not measured, `refused` which limit of the service's settings it misses.
    """

    release: str
    requests: int
    wrong: int
    protocols: tuple[str, ...]
    largest_difference: float
    reason: str
    loads: tuple[LoadResult, ...] = ()
    promised_ms: float | None = None
    bare_ms: float | None = None
    expected: Expected | None = None
    told: str = ""
    note: str = ""
    refused: str = ""
    provenance: Provenance | None = None

    @property
    def holds(self) -> bool:
        """Whether the release may be deployed."""
        return self.wrong == 0 and self.requests > 0 and not self.refused

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

    @property
    def word(self) -> str:
        """What the run is called: rejected, inconclusive or anomalous."""
        return self.outcome.value if self.outcome in (Outcome.INCONCLUSIVE, Outcome.ANOMALOUS) else "rejected"


@dataclass(frozen=True, kw_only=True)
class Record:
    """One execution of a plan that came to a result, which is one of `deployment` and `rejection`; or a `release` alone, which
    was packaged and could not be measured here, and so was not deployed. `stress` is what became of the finalists on corrupted
    rows, by candidate."""

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
    stress: Mapping[str, tuple[Stress, ...]] = field(default_factory=dict)
