"""Candidates, and what is found out about them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import geometric_mean

from fdpipe.artifacts.models import (
    Answers,
    Artifact,
    Provenance,
)


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
