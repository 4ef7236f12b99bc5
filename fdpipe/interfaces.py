"""Every socket of the line. A worker is a frozen dataclass, in the room named beside its Protocol, that satisfies it.

A worker's fields are its settings: `conf/<room>/<name>.yaml` holds their values. Constructing one does nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.artifacts import (
    Appraisal,
    Artifact,
    CheckResult,
    Deployment,
    Examples,
    Manifest,
    ModelRef,
    NodeTime,
    Precision,
    Proof,
    Ranges,
    Release,
    SourceModel,
    Task,
    TensorSpec,
    Trial,
    Unsupported,
)

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from fdpipe.evidence import Evidence
    from fdpipe.space import Proposal, Space

Session = Mapping[str, int | float | str | bool]
"""A candidate's session settings: `threads`, and whatever else its runtime knows."""


@runtime_checkable
class Source(Protocol):
    """source/: where registered models live."""

    def resolve(self, reference: str) -> ModelRef:
        """Pin `name@alias`, `name/version` or `models:/…` to a version and its digest; `SourceError` if there is none."""

    def download(self, ref: ModelRef, folder: Path) -> SourceModel:
        """Bring the version's files into `folder` and read what they say of themselves."""

    def publish(self, ref: ModelRef, tags: Mapping[str, str], alias: str | None) -> None:
        """Write the verdict back: tags on the version and, after a deployment, an alias to it."""


@runtime_checkable
class Archive(Protocol):
    """A source that keeps evaluations of its versions."""

    def appraise(self, ref: ModelRef, appraisal: Appraisal) -> str:
        """Keep it, and link the version to it; the name under which it is found. `SourceError` where it cannot be kept."""


@runtime_checkable
class Dataset(Protocol):
    """dataset/: where rows come from."""

    def identity(self, ref: ModelRef) -> str:
        """What the rows are identified by without reading them all: a content digest, or a name that never changes."""

    def read(self, ref: ModelRef) -> Examples:
        """The rows for this model version; `SourceError` if they cannot be had."""


@dataclass(frozen=True, kw_only=True)
class Export:
    """What a converter made: a file (alone in its folder but for its external data) or that folder, what goes in and out,
    and the kind of its answers. The first axis is `rows`, unless the graph fixes it."""

    path: Path
    task: Task
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class Loader(Protocol):
    """Loads an original and asks it, where it is isolated: in a child process, which may be one of another environment.

    `risk` is asked in the pipeline's own process and reads files only. In the child, only the standard library, numpy,
    msgspec, PyYAML and what `exporter` and the model's own requirements bring can be imported.
    """

    packages: ClassVar[tuple[str, ...]]
    """The distributions whose versions decide what comes out."""

    exporter: ClassVar[tuple[str, ...]]
    """What it needs beside the model's own requirements, as pip writes requirements, with bounds."""

    def risk(self, model: SourceModel) -> str | None:
        """What in this model is code that loading it would run, as "a pickle"; None for a format that cannot hold code."""

    def load(self, model: SourceModel) -> Any:  # noqa: ANN401 - every library has its own
        """The original, opened once for all that follows; `MissingExtra` where its library is not installed,
        `ConversionError` for files that cannot be loaded."""

    def predict(self, model: SourceModel, original: Any, features: Batch) -> dict[str, np.ndarray]:  # noqa: ANN401
        """The original's own answers, under the names that the processor gives those of the export; `ConversionError` for
        rows that it refuses."""


@runtime_checkable
class Converter(Loader, Protocol):
    """converter/: one registered format → ONNX, or another kind of artifact. `accepts` is asked in the pipeline's own
    process, `export` where the original is isolated."""

    kind: ClassVar[str]
    """The kind of artifact that comes out: `onnx`, unless it is for one runtime only."""

    extra: ClassVar[str]
    """The extra of fdpipe that brings it where the model's own environment is not used; empty where fdpipe itself does."""

    def accepts(self, model: SourceModel) -> bool:
        """Whether this is the converter for it, from the MLmodel file's own words."""

    def export(self, model: SourceModel, original: Any, folder: Path, precision: Precision) -> Export:  # noqa: ANN401
        """Write the artifact into `folder`, which is empty; outputs are `label` and `probabilities`, or `value`, or the
        model's own. `NotApplicable` for a precision that this format has no export in, `ConversionError` with what the
        exporter said."""


@runtime_checkable
class Processor(Protocol):
    """processor/: what stands around the graph, the same in evaluation, calibration, benchmark and service.

    One that needs files, as a tokenizer, has a field `folder: Path | None`, filled in wherever it is made again.
    """

    def accepts(self, model: SourceModel) -> bool:
        """Whether this is the processor for it, from its flavour and its signature."""

    def bind(self, model: SourceModel, inputs: Sequence[TensorSpec], folder: Path) -> "Processor":
        """The same processor with all it needs to know of this model in its fields, and the files that it needs written
        into `folder`, which is empty. Nothing of the model is executed."""

    def prepare(self, records: Batch) -> dict[str, np.ndarray]:
        """Columns or raw inputs → the graph's input tensors; `ValueError` with one line for what does not fit."""

    def finish(self, outputs: Batch) -> dict[str, np.ndarray]:
        """The graph's outputs → answers by name."""


class Need(StrEnum):
    """What a pass must be given beside the model: nothing, a calibrator's ranges, or the calibration rows themselves."""

    NOTHING = "nothing"
    RANGES = "ranges"
    ROWS = "rows"


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What there is of the calibration rows: the ranges found on them, and the rows as the model's input tensors, batch by
    batch, from the first on whenever they are asked for. Each is there where it is needed."""

    ranges: Ranges | None = None
    batches: Callable[[], Iterable[Batch]] | None = None


@runtime_checkable
class Pass(Protocol):
    """passes/: improves a model; quantizers are passes that may need calibration.

    A quantizer that can leave nodes alone has a field `exclude: tuple[str, ...]`, each the name of the node's first output
    in the model that it is given.
    """

    packages: ClassVar[tuple[str, ...]]
    takes: ClassVar[str]
    """The kind of artifact that it reads, as `onnx`."""
    gives: ClassVar[str]
    """The kind that it writes, mostly the same."""
    needs: ClassVar[Need]

    def requires(self, source: Path) -> None:
        """Raise `NotApplicable` with the reason where the model is none for this pass."""

    def apply(self, source: Path, target: Path, calibration: Calibration) -> None:
        """Read the model at `source`, write the improved one to `target`, alone in its folder but for its weights."""

    def ensures(self, source: Path, target: Path) -> None:
        """Raise `NotApplicable` where the result does not hold what the pass promises."""


@runtime_checkable
class Calibrator(Protocol):
    """calibrator/: the ranges of a graph's tensors, batch by batch, in memory that does not grow with the rows."""

    packages: ClassVar[tuple[str, ...]]

    def collect(self, model: Path, batches: Callable[[], Iterable[Batch]]) -> Mapping[str, tuple[float, float]]:
        """(low, high) by tensor name; `batches()` may be called more than once, for methods of two passes."""


@runtime_checkable
class Search(Protocol):
    """search/: which candidates to try; a pure, seeded function of the trials so far."""

    locates: ClassVar[bool]
    """Whether a quantized candidate that was refused for its quality is to be asked where it loses."""

    def propose(self, space: "Space", trials: Sequence[Trial]) -> "Sequence[Proposal]":
        """The next candidates, which may run in parallel, the most promising first; none when it is done. It is asked again
        after each trial, and what is still wanted then is proposed again."""

    def finalists(self, trials: Sequence[Trial]) -> Sequence[Trial]:
        """The succeeded trials that go to the benchmark; the baseline joins them by itself."""


@runtime_checkable
class Indifferent(Protocol):
    """A runtime some of whose session settings change no answer, not by a single bit: only where memory comes from, say. Two
    sessions that differ in nothing else are evaluated once."""

    indifferent: ClassVar[tuple[str, ...]]


@runtime_checkable
class Foreseeing(Protocol):
    """A search that can say how much is still to come beside what it proposes now."""

    def outlook(self, space: "Space", trials: Sequence[Trial]) -> int:
        """About how many more trials, as far as is known now."""


@runtime_checkable
class Selective(Protocol):
    """A search that asks nothing more of what is far too slow."""

    def beaten(self, trial: Trial, trials: Sequence[Trial]) -> str:
        """Why the answers of a candidate, made and measured for a first impression, need not be asked for after these trials;
        empty where they are to be."""


class Engine(Protocol):
    """An opened model. Thread-safe."""

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        """Outputs by name for input tensors by name."""

    def close(self) -> None:
        """Give memory and device back."""


@runtime_checkable
class Runtime(Protocol):
    """runtime/: the engine that executes a model."""

    packages: ClassVar[tuple[str, ...]]
    kinds: ClassVar[tuple[str, ...]]
    """The kinds of artifact that `ready` takes."""

    def check(self) -> None:
        """Raise `MissingExtra` where its libraries or device are not here."""

    def absent(self) -> str | None:
        """Why what it makes cannot be run on this machine, though it can be made here; None where it can be run."""

    def sessions(self) -> tuple[Session, ...]:
        """The session settings worth trying on this machine, the default first."""

    def ready(self, model: Artifact, folder: Path) -> Artifact:
        """Turn an ONNX artifact into what this runtime opens, in `folder`; the same artifact where nothing is to be done."""

    def open(self, artifact: Artifact, session: Session) -> Engine:
        """Load it; the benchmark and the service use this very call."""


@runtime_checkable
class Profiler(Protocol):
    """A runtime that can say where a call's time goes."""

    def profile(self, artifact: Artifact, session: Session, batch: Batch) -> tuple[NodeTime, ...]:
        """Each node's time in a typical call, in the order of the nodes."""


@runtime_checkable
class Builder(Protocol):
    """A runtime whose `ready` builds an engine of its own kind. Such an engine computes in its own way: whether an export
    answers like the original is seen by a runtime that opens it as it is."""

    makes: ClassVar[str]
    """The kind of the engine."""


@runtime_checkable
class Accelerated(Protocol):
    """A runtime that may compute on another device than the processor."""

    @property
    def device(self) -> str:
        """`gpu` for an NVIDIA GPU; empty where it computes on the processor."""


@runtime_checkable
class Delegator(Protocol):
    """A runtime that hands what it can of a model to a device and computes the rest itself."""

    def unsupported(self, artifact: Artifact) -> tuple[Unsupported, ...]:
        """The nodes that the device does not take, and why."""


@runtime_checkable
class Metric(Protocol):
    """metric/: quality of answers against labels."""

    higher_is_better: ClassVar[bool]
    unit: ClassVar[str]
    needs_labels: ClassVar[bool]

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """The figure over all rows; `labels` are the original's answers where `needs_labels` is false."""


@runtime_checkable
class Rowwise(Protocol):
    """A metric that is the mean of one figure for each row: what it loses can be judged by exact and quick statistics. `bounds`
    are the least and the greatest figure that a row can have, infinite where there is none."""

    bounds: ClassVar[tuple[float, float]]

    def of_rows(self, answers: Batch, labels: np.ndarray) -> np.ndarray:
        """float64 of shape (rows,), whose mean is the score."""


@runtime_checkable
class OwnTruth(Protocol):
    """A metric without labels that judges by other answers of the original than those which stand for labels, as by its
    probabilities."""

    def truth(self, original: Batch) -> np.ndarray | None:
        """What `score` is to be given as `labels`; None where the original has no such answers."""


@runtime_checkable
class Slicer(Protocol):
    """slicer/: groups of evaluation rows, none of which may lose much."""

    def slices(self, examples: Examples) -> Mapping[str, np.ndarray]:
        """By a slice's name the rows in it, bool of shape (rows,); a row may be in several, or in none. `NotApplicable` for
        rows that have not what it slices by."""


@runtime_checkable
class Corruption(Protocol):
    """corruption/: what may befall the rows of a caller."""

    def corrupt(self, features: Batch, random: np.random.Generator) -> dict[str, np.ndarray]:
        """The rows so corrupted, in the same shapes and dtypes; `NotApplicable` for rows that cannot be."""


@runtime_checkable
class Check(Protocol):
    """gate/: one rule about a candidate.

    It may have an `aspect: ClassVar[Aspect]`; one without is of quality. One of speed is not asked of a candidate whose
    speed could not be measured here, for which `gate.unmeasured` decides; a search tells by it why a candidate was refused.
    """

    def judge(self, evidence: "Evidence") -> CheckResult:
        """The outcome with its figure, limit and sentence; a missing or non-finite figure fails."""


@runtime_checkable
class Demanding(Protocol):
    """A check that may demand what no candidate can have."""

    def out_of_reach(self, reference: Mapping[str, float | None], metrics: Mapping[str, Metric]) -> str:
        """Why none can pass beside an original with these figures, as far as that is certain; empty where one may."""


@runtime_checkable
class Deployer(Protocol):
    """deployer/: makes a release the running service."""

    def deploy(self, release: Release, proof: Proof, host: str, port: int) -> Deployment:
        """Replace what runs, or do nothing where this release runs already; port 0 keeps the service's port or takes the
        first free from 3000. `DeploymentError` leaves the old one running."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request to the running service and what came of it. `status` is HTTP's; `error` is the kind of refusal, or None.

    `records` are what the caller sent, `tensors` what the graph got, `answers` what the caller gets; each is empty where
    the request did not come so far. `cache` is how the answer was found where answers are kept: hit, miss, or joined (it was
    being computed for another caller); only for a miss the graph got something.
    """

    protocol: str
    status: int
    seconds: float
    error: str | None = None
    records: Batch = field(default_factory=dict)
    tensors: Batch = field(default_factory=dict)
    answers: Batch = field(default_factory=dict)
    cache: str | None = None


class Probe(Protocol):
    """What a monitor puts into the running service; it must be fast and must not raise."""

    def observe(self, exchanges: Sequence[Exchange], in_flight: int) -> None:
        """See requests that have ended since it was last asked, some times a second, and how many are under way now."""


@runtime_checkable
class Monitor(Protocol):
    """monitor/: one level of figures at serve time (host, service, model)."""

    def start(self, release: Manifest, registry: "CollectorRegistry") -> Probe:
        """Register its metrics; `release` is `release.json`."""
