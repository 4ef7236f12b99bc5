"""How fast candidates are: figures with their intervals, how they were come by, and the machine that they hold for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import geometric_mean

from fdpipe.artifacts.models import MIB, Provenance


class Basis(StrEnum):
    """How a figure was come by: measured; derived from measured ones by arithmetic; estimated with an assumption that nobody
    has measured; or not at all."""

    MEASURED = "measured"
    DERIVED = "derived"
    ESTIMATED = "estimated"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure in its `unit`; `method` says in a few words how it was come by or, where it was not, why."""

    value: float | None
    unit: str
    basis: Basis
    method: str = ""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure with its confidence interval."""

    low: float
    middle: float
    high: float

    @classmethod
    def mean(cls, ratios: Iterable["Interval"]) -> "Interval":
        """The geometric mean of ratios, each end taken on its own, which makes it rather too wide than too narrow;
        `StatisticsError` (a `ValueError`) of none."""
        every = tuple(ratios)
        low, middle, high = (geometric_mean([getattr(one, end) for one in every]) for end in ("low", "middle", "high"))
        return cls(low=low, middle=middle, high=high)


class Pace(StrEnum):
    """What a benchmark says of a candidate beside the baseline: surely faster, surely slower, as fast to within
    `benchmark.precision`, or nothing, since the machine was too noisy."""

    FASTER = "faster"
    SLOWER = "slower"
    ALIKE = "alike"
    TOO_NOISY = "too noisy to tell"


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One candidate at one batch size and, where the plan names lengths, one `length` of its sequences. `ratio` is its time
    divided by the baseline's, paired; below 1 is faster. `blocks` is how many comparisons it rests on."""

    batch: int
    calls: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    rows_per_s: float
    ratio: Interval | None
    p999_ms: float | None = None
    length: int | None = None
    blocks: int = 0
    pace: Pace = Pace.TOO_NOISY


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
    """Speed of one candidate on one machine, all candidates of the run interleaved, each in a process of its own.

    `load_ms` and `first_call_ms` are its cold start, in a new process; None where it never got so far. One that failed on the
    way has no timings, and `left` says how. `peak_rss_mib` is that of a process which does nothing else than load it
    and run it; None where it was not measured. `processor_ms` are the milliseconds of all cores together for a row, at the
    largest batch size. `left` says why it left the benchmark before its end, empty where it did not.
    """

    candidate: str
    timings: tuple[Timing, ...]
    load_ms: float | None
    first_call_ms: float | None
    peak_rss_mib: float | None
    size_bytes: int
    processor_ms: float | None = None
    left: str = ""

    @property
    def size_mib(self) -> float:
        """The model's files."""
        return self.size_bytes / MIB


@dataclass(frozen=True, kw_only=True)
class Health:
    """How quiet the machine was: its load average before and after, the share of blocks in which others took a core from a
    candidate (these do not count where enough others remain), and the time of the baseline divided by its own in a second
    process, which is 1 where nothing disturbs. `noise_unknown` says why that is missing though it was asked for."""

    load_before: float
    load_after: float
    disturbed_share: float
    noise: Interval | None = None
    noise_unknown: str = ""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One benchmark run: the baseline and the finalists together, with threads and machine as they were.

    `ended` says why it took no longer. `energy` is that of one row at the largest batch size, by candidate.
    """

    measurements: tuple[Measurement, ...]
    baseline: str
    threads: int
    machine: Machine
    health: Health | None = None
    ended: str = ""
    energy: Mapping[str, Figure] = field(default_factory=dict)
    provenance: Provenance | None = None

    def of(self, candidate: str) -> Measurement | None:
        """The candidate's own measurement, if it was among the finalists."""
        return next((item for item in self.measurements if item.candidate == candidate), None)

    def overall(self, candidate: str) -> Interval | None:
        """The candidate's time divided by the baseline's, as the mean over the batch sizes; None where a ratio is missing."""
        found = self.of(candidate)
        ratios = [timing.ratio for timing in found.timings] if found else []
        known = [ratio for ratio in ratios if ratio is not None]
        if not known or len(known) < len(ratios):
            return None
        return Interval.mean(known)
