"""The plain settings of a plan: what is no worker, each with its ranges."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from fdpipe.interfaces import Dataset


class Orchestrator(StrEnum):
    """Who runs the line."""

    PREFECT = "prefect"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A hardware profile. `runtimes` are those that it allows; `measured_on` the machines whose speed is its own, in the words
    of `uname -m`: on any other, what was made for it is evaluated and its speed is not measured. None is any machine.

    `price_per_hour` is what it costs, in `currency`; `tdp_watts` the thermal design power of its processor, by which energy is
    estimated where no counter can be read. Both are declared by who knows them; None is unknown.
    """

    name: str
    runtimes: tuple[str, ...]
    description: str = ""
    measured_on: tuple[str, ...] = ()
    price_per_hour: float | None = None
    currency: str = "USD"
    tdp_watts: float | None = None

    def __post_init__(self) -> None:
        """A name that can be part of a service's name and of an alias."""
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", self.name):
            raise ValueError("name must begin with a letter or digit and have only these, '_', '-' and '.'")
        if not self.runtimes:
            raise ValueError("runtimes must name at least one")
        for name in ("price_per_hour", "tdp_watts"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} must be above 0, or null")


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How long a search may go on: `max_trials` candidates and `max_seconds` of one run, the baseline included; 0 is no limit.
    A trial under way is not interrupted, and none is begun that would surely not end in time."""

    max_trials: int = 0
    max_seconds: float = 0.0

    def __post_init__(self) -> None:
        """Ranges."""
        if self.max_trials < 0 or self.max_seconds < 0:
            raise ValueError("max_trials and max_seconds must not be negative; 0 is no limit")


class Unmeasured(StrEnum):
    """What becomes of a candidate that was made and cannot be run here: refused, or let through as it is."""

    REFUSE = "refuse"
    ALLOW = "allow"


@dataclass(frozen=True, kw_only=True)
class DataPlan:
    """Where the rows of each role come from."""

    evaluation: Dataset
    calibration: Dataset | None = None
    training: Dataset | None = None


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far the export may be from the original: labels that differ among all rows, the largest absolute difference of
    a probability, the largest relative difference of any other figure, and the smallest cosine between tensors."""

    flips: int = 0
    probabilities: float = 1e-5
    values: float = 1e-4
    cosine: float = 0.9999

    def __post_init__(self) -> None:
        """Ranges."""
        if min(self.flips, self.probabilities, self.values) < 0:
            raise ValueError("flips, probabilities and values must not be negative")
        if not -1 <= self.cosine <= 1:
            raise ValueError("cosine must be from -1 to 1")


class Isolation(StrEnum):
    """Where the original is loaded and exported: in a child process of this environment; in one of an environment built
    from the model's own requirements; or, for debugging, in this very process."""

    PROCESS = "process"
    VENV = "venv"
    IN_PROCESS = "in_process"


class Installer(StrEnum):
    """What builds an environment: uv where it is there and pip otherwise, or one of the two."""

    AUTO = "auto"
    UV = "uv"
    PIP = "pip"


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """How the original is kept apart. A child process has `seconds` for each thing it is asked, `memory_gib` for its memory
    and `written_gib` for each file that it writes."""

    isolation: Isolation = Isolation.PROCESS
    seconds: float = 900.0
    memory_gib: float = 16.0
    written_gib: float = 16.0
    installer: Installer = Installer.AUTO

    def __post_init__(self) -> None:
        """Ranges."""
        if min(self.seconds, self.memory_gib, self.written_gib) <= 0:
            raise ValueError("seconds, memory_gib and written_gib must be above 0")


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """How speed is measured. `seconds` is the budget for each batch size of one benchmark, `trial_seconds` that of a
    provisional one; `threads` is for each candidate, and 0 means every core that this process may use; `memory` asks for
    each candidate's peak memory, in a process of its own. `impression` is for a trial's first: of slow models it takes the
    fewest calls that can be compared, and of hopeless ones no large batches.

    A run ends where every ratio's interval is decided: narrower than `precision` (0.02 is 2 % from end to end), or beyond 1.
    `lengths` are those of sequences to measure, for models with an axis of tokens; none means the rows as they are. A
    candidate that takes longer than `limit_seconds` to load, or for its turn, is left out.
    """

    batch_sizes: tuple[int, ...] = (1, 8, 32)
    seconds: float = 2.0
    trial_seconds: float = 0.1
    warmup_calls: int = 10
    confidence: float = 0.99
    threads: int = 0
    seed: int = 0
    memory: bool = True
    impression: bool = False
    precision: float = 0.02
    lengths: tuple[int, ...] = ()
    limit_seconds: float = 120.0

    def __post_init__(self) -> None:
        """Ranges."""
        if not self.batch_sizes or min(self.batch_sizes) < 1:
            raise ValueError("batch_sizes must be at least one whole number from 1")
        if not (0 < self.trial_seconds <= self.seconds):
            raise ValueError("seconds and trial_seconds must be above 0, trial_seconds not above seconds")
        if not 0.5 <= self.confidence < 1:
            raise ValueError("confidence must be from 0.5 to below 1")
        if not 0 <= self.threads <= 1024 or self.warmup_calls < 0:
            raise ValueError("threads must be from 0 to 1024, and warmup_calls not negative")
        if not 0 < self.precision < 1 or any(length < 1 for length in self.lengths):
            raise ValueError("precision must be above 0 and below 1, and lengths whole numbers from 1")
        if self.limit_seconds <= 0:
            raise ValueError("limit_seconds must be above 0")

    def provisional(self) -> "Benchmark":
        """The settings for a trial's first impression."""
        return replace(self, seconds=self.trial_seconds, memory=False, lengths=(), impression=True)


SIZES: Mapping[str, tuple[int, int]] = {
    "workers": (1, 256), "runs": (1, 256), "max_batch": (1, 65536), "max_wait_ms": (0, 10_000), "max_waiting": (1, 1_000_000),
    "cache_mib": (0, 1_048_576),
}  # fmt: skip
"""The range of each of a service's sizes."""


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """The service. `port` 0 means the first free from 3000; REST of the Open Inference Protocol is on the next port.
    `timeout_s` bounds a request, `max_body_mib` its size; `golden_requests` are asked by the proof.

    The proof refuses a service whose p99 for one caller is above `p99_ms`, or that gives four callers fewer answers a second
    than `requests_per_s`; None asks for nothing.

    Its sizes, from `workers` to `cache_mib`, are those of `Traffic`; None leaves one to be derived (`fdpipe.sizing`)."""

    host: str = "127.0.0.1"
    port: int = 0
    timeout_s: float = 60.0
    max_body_mib: float = 64.0
    golden_requests: int = 32
    p99_ms: float | None = None
    requests_per_s: float | None = None
    workers: int | None = None
    runs: int | None = None
    max_batch: int | None = None
    max_wait_ms: float | None = None
    max_waiting: int | None = None
    cache_mib: float | None = None

    def __post_init__(self) -> None:
        """Ranges."""
        for name, (least, most) in SIZES.items():
            size = getattr(self, name)
            if size is not None and not least <= size <= most:
                raise ValueError(f"{name} must be from {least} to {most}, or null to be derived")
        for name in ("p99_ms", "requests_per_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} must be above 0, or null")
        if not (self.port == 0 or 1024 <= self.port <= 65533):
            raise ValueError("port must be 0, or from 1024 to 65533")
        if self.timeout_s <= 0 or self.max_body_mib <= 0 or self.golden_requests < 1:
            raise ValueError("timeout_s, max_body_mib and golden_requests must be above 0")
