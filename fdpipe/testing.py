"""A fake for every socket: deterministic, with neither ONNX nor a registry, so that a whole line of them takes milliseconds.

The model they share classifies four numbers into three labels. Its file is JSON: how many of each hundred rows it answers
wrongly, and how long a call takes. Fakes are workers like any other, so a plan of them can be written down and read again.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ClassVar

import msgspec
import numpy as np

from fdpipe.arrays import Batch, label_of
from fdpipe.artifacts import (
    Artifact,
    Candidate,
    CheckResult,
    Deployment,
    Examples,
    Manifest,
    ModelRef,
    Outcome,
    Proof,
    Ranges,
    Release,
    SourceModel,
    Task,
    TensorSpec,
    Trial,
)
from fdpipe.content import tree_digest
from fdpipe.errors import DeploymentError, MissingExtra, NotApplicable, SourceError, StageError
from fdpipe.interfaces import Evidence, Exchange, Export, Session, Space

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

INPUTS = (TensorSpec(name="x", dtype="float32", shape=("rows", 4)),)
OUTPUTS = (TensorSpec(name="probabilities", dtype="float32", shape=("rows", 3)),)
WEIGHTS = np.array([[2.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 2.0], [1.0, 0.0, -1.0]], np.float32)


def answer(features: Batch, wrong_percent: int = 0) -> dict[str, np.ndarray]:
    """What the fake model says; of each hundred values that the first number can have, `wrong_percent` mislead it."""
    x = np.asarray(features["x"], np.float32)
    scores = x @ WEIGHTS
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    misled = np.floor(np.abs(x[:, 0]) * 1e4) % 100 < wrong_percent
    scores[misled] = np.roll(scores[misled], 1, axis=1)
    return {"probabilities": scores / scores.sum(axis=1, keepdims=True)}


@dataclass(frozen=True, kw_only=True)
class FakeModel:
    """What is in the file of a model. `microseconds` is how long a call takes, whatever the batch."""

    version: str = ""
    wrong_percent: int = 0
    microseconds: float = 0.0

    @classmethod
    def load(cls, path: Path) -> "FakeModel":
        """Read the file; `StageError` where it is none."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError) as error:
            raise StageError(f"{path.name} is no fake model: {error}") from error

    def save(self, path: Path) -> None:
        """Write the file."""
        path.write_bytes(msgspec.json.encode(self))


@dataclass(frozen=True, kw_only=True)
class FakeSource:
    """A registry with one model, `fake`, in as many `versions` as there are; `candidate` is the last one's alias.

    What is published is appended, a line of JSON each, to the file `published`.
    """

    room: ClassVar[str] = "source"

    versions: int = 1
    wrong_percent: int = 0
    microseconds: float = 200.0
    published: Path | None = None

    def resolve(self, reference: str) -> ModelRef:
        """`fake`, `fake@candidate` and `fake/<version>`; `SourceError` for anything else."""
        name, _, version = reference.removeprefix("models:/").replace("@candidate", f"/{self.versions}").partition("/")
        known = [str(number + 1) for number in range(self.versions)]
        if name != "fake" or (version or known[-1]) not in known:
            raise SourceError(f"there is no model {reference!r}: the only one is fake, in the versions {', '.join(known)}")
        version = version or known[-1]
        with TemporaryDirectory() as folder:
            digest = tree_digest(self._write(Path(folder) / "model", version))
        return ModelRef(name=name, version=version, uri=f"fake:/{name}/{version}", digest=digest)

    def download(self, ref: ModelRef, folder: Path) -> SourceModel:
        """One file."""
        return SourceModel(
            ref=ref, flavour="fake", serialization="json", inputs=INPUTS, outputs=OUTPUTS, columns=False,
            path=self._write(folder, ref.version), digest=ref.digest,
        )  # fmt: skip

    def publish(self, ref: ModelRef, tags: Mapping[str, str], alias: str | None) -> None:
        """Append it to the file."""
        if self.published is not None:
            with self.published.open("a") as stream:
                stream.write(json.dumps({"version": ref.version, "tags": dict(tags), "alias": alias}) + "\n")

    def _write(self, folder: Path, version: str) -> Path:
        folder.mkdir(parents=True)
        model = FakeModel(version=version, wrong_percent=self.wrong_percent, microseconds=self.microseconds)
        model.save(folder / "model.json")
        return folder


@dataclass(frozen=True, kw_only=True)
class FakeDataset:
    """Random rows with the fake model's own labels, or without labels; another `seed` gives rows that share none."""

    room: ClassVar[str] = "dataset"

    rows: int = 64
    seed: int = 0
    labelled: bool = True

    def identity(self, ref: ModelRef) -> str:
        """The settings say all."""
        return f"fake rows {self.rows} {self.seed} {self.labelled}"

    def read(self, ref: ModelRef) -> Examples:
        """The rows; the same for every version."""
        features = {"x": np.random.default_rng(self.seed).normal(size=(self.rows, 4)).astype(np.float32)}
        return Examples(features=features, labels=label_of(answer(features)) if self.labelled else None)


@dataclass(frozen=True, kw_only=True)
class FakeConverter:
    """Copies the model; with `drift_percent` the copy answers that share of rows otherwise than the original."""

    room: ClassVar[str] = "converter"
    packages: ClassVar[tuple[str, ...]] = ()

    drift_percent: int = 0

    def accepts(self, model: SourceModel) -> bool:
        """Only the fake flavour."""
        return model.flavour == "fake"

    def export(self, model: SourceModel, folder: Path) -> Export:
        """A file named as any other export."""
        path = folder / "model.onnx"
        original = FakeModel.load(model.path / "model.json")
        replace(original, wrong_percent=original.wrong_percent + self.drift_percent).save(path)
        return Export(path=path, task=Task.CLASSIFICATION, inputs=INPUTS, outputs=OUTPUTS)

    def predict(self, model: SourceModel, features: Batch) -> dict[str, np.ndarray]:
        """The original's answers."""
        return answer(features, FakeModel.load(model.path / "model.json").wrong_percent)


@dataclass(frozen=True, kw_only=True)
class FakeProcessor:
    """Hands everything through."""

    room: ClassVar[str] = "processor"

    bound: bool = False

    def accepts(self, model: SourceModel) -> bool:
        """Models that take tensors."""
        return not model.columns

    def bind(self, model: SourceModel, inputs: Sequence[TensorSpec]) -> "FakeProcessor":
        """There is nothing to know but that it happened."""
        return replace(self, bound=True)

    def prepare(self, records: Batch) -> dict[str, np.ndarray]:
        """The input named x."""
        if "x" not in records:
            raise ValueError("the input x is missing")
        return {"x": np.asarray(records["x"], np.float32)}

    def finish(self, outputs: Batch) -> dict[str, np.ndarray]:
        """All outputs."""
        return dict(outputs)


@dataclass(frozen=True, kw_only=True)
class FakePass:
    """Makes a model that takes `share` of the time and answers `wrong_percent` more of the rows wrongly; or it refuses the
    model for the reason `refuses`, or breaks down with `breaks`."""

    room: ClassVar[str] = "passes"
    packages: ClassVar[tuple[str, ...]] = ()
    needs_ranges: ClassVar[bool] = False

    share: float = 1.0
    wrong_percent: int = 0
    refuses: str = ""
    breaks: str = ""

    def requires(self, source: Path) -> None:
        """Any model, unless it refuses."""
        if self.refuses:
            raise NotApplicable(self.refuses)

    def apply(self, source: Path, target: Path, ranges: Ranges | None) -> None:
        """Write the other model."""
        if self.breaks:
            raise RuntimeError(self.breaks)
        model = FakeModel.load(source)
        wrong = model.wrong_percent + self.wrong_percent
        replace(model, wrong_percent=wrong, microseconds=model.microseconds * self.share).save(target)

    def ensures(self, source: Path, target: Path) -> None:
        """The model can be read."""
        FakeModel.load(target)


@dataclass(frozen=True, kw_only=True)
class FakeQuantizer(FakePass):
    """A pass that uses ranges."""

    needs_ranges: ClassVar[bool] = True

    def apply(self, source: Path, target: Path, ranges: Ranges | None) -> None:
        """Write the other model; it must get ranges."""
        if ranges is None:
            raise NotApplicable("there are no ranges")
        super().apply(source, target, ranges)


@dataclass(frozen=True, kw_only=True)
class FakeCalibrator:
    """The least and the greatest value of each input."""

    room: ClassVar[str] = "calibrator"
    packages: ClassVar[tuple[str, ...]] = ()

    def collect(self, model: Path, batches: Callable[[], Iterable[Batch]]) -> dict[str, tuple[float, float]]:
        """Batch by batch."""
        found: dict[str, tuple[float, float]] = {}
        for batch in batches():
            for name, array in batch.items():
                low, high = found.get(name, (float("inf"), float("-inf")))
                found[name] = (min(low, float(array.min())), max(high, float(array.max())))
        return found


@dataclass(frozen=True, kw_only=True)
class FakeSearch:
    """Every recipe on every runtime in its default session, one candidate a round; all that succeeded are finalists."""

    room: ClassVar[str] = "search"

    def propose(self, space: Space, trials: Sequence[Trial]) -> Sequence[Candidate]:
        """The first that was not tried."""
        tried = {trial.candidate.name for trial in trials}
        every = [
            Candidate(runtime=runtime, recipe=recipe, session=sessions[0])
            for runtime, sessions in space.runtimes.items()
            for recipe in space.recipes
        ]
        return [candidate for candidate in every if candidate.name not in tried][:1]

    def finalists(self, trials: Sequence[Trial]) -> Sequence[Trial]:
        """Those that succeeded."""
        return [trial for trial in trials if trial.succeeded]


@dataclass(frozen=True, kw_only=True)
class FakeRuntime:
    """Runs the fake model; with `missing` it is not installed, for that reason."""

    room: ClassVar[str] = "runtime"
    packages: ClassVar[tuple[str, ...]] = ()

    missing: str = ""

    def check(self) -> None:
        """Raise `MissingExtra` if it plays the missing one."""
        if self.missing:
            raise MissingExtra(f"{self.missing}: pip install 'fdpipe[fake]'")

    def sessions(self) -> tuple[Session, ...]:
        """One."""
        return ({},)

    def ready(self, model: Artifact, folder: Path) -> Artifact:
        """The same."""
        return model

    def open(self, artifact: Artifact, session: Session) -> "FakeEngine":
        """Read the file."""
        return FakeEngine(FakeModel.load(artifact.path))


class FakeEngine:
    """An opened fake model."""

    def __init__(self, model: FakeModel) -> None:
        self.model = model
        self.is_open = True

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        """The answers, as late as the model says."""
        ends = time.perf_counter_ns() + self.model.microseconds * 1e3
        answers = answer(batch, self.model.wrong_percent)
        while time.perf_counter_ns() < ends:
            pass
        return answers

    def close(self) -> None:
        """Remember it."""
        self.is_open = False


@dataclass(frozen=True, kw_only=True)
class HeavyRuntime(FakeRuntime):
    """Takes `held_mib` of memory while a model is open."""

    held_mib: int = 100

    def open(self, artifact: Artifact, session: Session) -> "HeavyEngine":
        """Read the file."""
        return HeavyEngine(FakeModel.load(artifact.path), self.held_mib)


class HeavyEngine(FakeEngine):
    """An opened fake model that takes memory."""

    def __init__(self, model: FakeModel, held_mib: int) -> None:
        super().__init__(model)
        self.held = np.ones(held_mib << 17)


@dataclass(frozen=True, kw_only=True)
class FakeMetric:
    """The share of rows with the right label."""

    room: ClassVar[str] = "metric"
    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "share"
    needs_labels: ClassVar[bool] = False

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """From 0 to 1."""
        return float(np.mean(label_of(answers) == labels))


@dataclass(frozen=True, kw_only=True)
class FakeCheck:
    """Passes the candidates whose quality is at least `floor` in every metric, except those named in `refuses`."""

    room: ClassVar[str] = "gate"

    floor: float = 0.9
    refuses: tuple[str, ...] = ()
    outcome: Outcome = Outcome.FAIL

    def judge(self, evidence: Evidence) -> CheckResult:
        """`outcome` is what a refusal is called."""
        figures = [np.nan if value is None else value for value in evidence.evaluation.quality.values()]
        worst = float(min(figures, default=np.nan))
        passes = worst >= self.floor and evidence.candidate.name not in self.refuses
        return CheckResult(
            check="fake", candidate=evidence.candidate.name, outcome=Outcome.PASS if passes else self.outcome,
            reason=f"has {worst:.3f}, the floor is {self.floor}", figure=worst, limit=self.floor,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FakeDeployer:
    """Writes down in the file `record` what runs; without one it is a dry run. `fails` is the reason why it cannot."""

    room: ClassVar[str] = "deployer"

    record: Path | None = None
    fails: str = ""

    def deploy(self, release: Release, proof: Proof, host: str, port: int) -> Deployment:
        """The same release again changes nothing."""
        if self.fails:
            raise DeploymentError(self.fails)
        if self.record is None:
            return Deployment(service=release.service, release=release.digest, url="", changed=True)
        changed = not (self.record.exists() and self.record.read_text() == release.digest)
        self.record.write_text(release.digest)
        return Deployment(service=release.service, release=release.digest, url=f"fake://{host}:{port}", changed=changed)


@dataclass(frozen=True, kw_only=True)
class FakeMonitor:
    """Registers nothing and counts requests."""

    room: ClassVar[str] = "monitor"

    def start(self, release: Manifest, registry: "CollectorRegistry") -> "FakeProbe":
        """A probe that starts from 0."""
        return FakeProbe()


class FakeProbe:
    """Keeps what it saw."""

    def __init__(self) -> None:
        self.begun = 0
        self.seen: list[Exchange] = []

    def begin(self) -> None:
        """Count it."""
        self.begun += 1

    def observe(self, exchange: Exchange) -> None:
        """Keep it."""
        self.seen.append(exchange)
