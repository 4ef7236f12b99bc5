"""What one run is asked to do: typed, checked across fields, a JSON round trip, identified by a digest."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum, StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from fdpipe import workers
from fdpipe.artifacts import Candidate, ModelRef
from fdpipe.content import fingerprint
from fdpipe.errors import ConfigError
from fdpipe.interfaces import (
    Calibrator,
    Check,
    Converter,
    Corruption,
    Dataset,
    Deployer,
    Metric,
    Monitor,
    Need,
    Pass,
    Processor,
    Runtime,
    Search,
    Slicer,
    Source,
)


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
class Recipe:
    """Passes, then a quantizer and, where ranges are needed, a calibrator; `calibrators` are others that a search may try in
    its place. `runtimes` are those that it is worth trying on, where the plan has one of them: what one engine's fusions
    gain, another has by itself."""

    passes: tuple[Pass, ...] = ()
    calibrator: Calibrator | None = None
    calibrators: Mapping[str, Calibrator] = field(default_factory=dict)
    quantizer: Pass | None = None
    runtimes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """A quantizer that uses ranges has something that finds them, and every step takes what the one before it made."""
        if self.quantizer is not None and self.quantizer.needs is Need.RANGES and self.calibrator is None:
            raise ValueError("the quantizer needs ranges: name a calibrator")
        for before, after in pairwise(self.steps):
            if before.gives != after.takes:
                raise ValueError(f"passes: {_of(after)} takes {after.takes}, and {_of(before)} before it gives {before.gives}")

    @property
    def steps(self) -> tuple[Pass, ...]:
        """Everything that changes the model, in order."""
        return (*self.passes, *([self.quantizer] if self.quantizer is not None else []))

    @property
    def excludes(self) -> bool:
        """Whether its quantizer can leave single nodes alone."""
        return self.quantizer is not None and any(item.name == "exclude" for item in fields(self.quantizer))  # type: ignore[arg-type]

    def altered(self, candidate: Candidate) -> "Recipe":
        """The recipe as a candidate wants it: with another calibrator, and with nodes that stay in float; `ValueError` for
        a calibrator that it has not, and for nodes where its quantizer cannot leave any alone."""
        recipe = self
        if candidate.calibrator:
            if candidate.calibrator not in self.calibrators:
                raise ValueError(f"the recipe {candidate.recipe} has no calibrator {candidate.calibrator!r}")
            recipe = replace(recipe, calibrator=self.calibrators[candidate.calibrator])
        if candidate.floats:
            if recipe.quantizer is None or not recipe.excludes:
                raise ValueError(f"the recipe {candidate.recipe} cannot leave single nodes in float")
            kept = (*recipe.quantizer.exclude, *candidate.floats)  # type: ignore[attr-defined]
            recipe = replace(recipe, quantizer=replace(recipe.quantizer, exclude=kept))  # type: ignore[type-var]
        return recipe


def _of(one: Pass) -> str:
    return type(one).__name__


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


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """The service. `port` 0 means the first free from 3000; REST of the Open Inference Protocol is on the next port.
    `timeout_s` bounds a request, `max_body_mib` its size; `golden_requests` are asked by the proof.

    The proof refuses a service whose p99 for one caller is above `p99_ms`, or that gives four callers fewer answers a second
    than `requests_per_s`; None asks for nothing."""

    host: str = "127.0.0.1"
    port: int = 0
    timeout_s: float = 60.0
    max_body_mib: float = 64.0
    golden_requests: int = 32
    p99_ms: float | None = None
    requests_per_s: float | None = None

    def __post_init__(self) -> None:
        """Ranges."""
        for name in ("p99_ms", "requests_per_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} must be above 0, or null")
        if not (self.port == 0 or 1024 <= self.port <= 65533):
            raise ValueError("port must be 0, or from 1024 to 65533")
        if self.timeout_s <= 0 or self.max_body_mib <= 0 or self.golden_requests < 1:
            raise ValueError("timeout_s, max_body_mib and golden_requests must be above 0")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run's request. `model` is `name@alias`, `name/version` or `models:/…`; `pinned` its version, once known.

    Mappings are by the names that configuration gives: a recipe's, a metric's, a check's.
    """

    model: str
    target: Target
    source: Source
    data: DataPlan
    converter: Mapping[str, Converter]
    processor: Mapping[str, Processor]
    runtime: Mapping[str, Runtime]
    recipe: Mapping[str, Recipe]
    search: Search
    metric: Mapping[str, Metric]
    gate: Mapping[str, Check]
    deployer: Deployer
    monitor: Mapping[str, Monitor] = field(default_factory=dict)
    slicer: Mapping[str, Slicer] = field(default_factory=dict)
    corruption: Mapping[str, Corruption] = field(default_factory=dict)
    conversion: Conversion = Conversion()
    parity: Tolerance = Tolerance()
    budget: Budget = Budget()
    unmeasured: Unmeasured = Unmeasured.REFUSE
    benchmark: Benchmark = Benchmark()
    service: ServiceSettings = ServiceSettings()
    orchestrator: Orchestrator = Orchestrator.NONE
    pinned: ModelRef | None = None
    versions: Mapping[str, str] = field(default_factory=workers.versions)

    def __post_init__(self) -> None:
        """The rules across fields."""
        if not self.model_name:
            raise ConfigError(f"model={self.model} names no model: write name@alias, name/version or models:/…")
        if self.pinned is not None and self.pinned.name != self.model_name:
            raise ConfigError(f"model={self.model} is not the model that the plan has pinned, {self.pinned.name}: plan again")
        if not self.gate:
            raise ConfigError("gate is empty: an empty gate would let everything pass; choose checks, as gate=[quality,speed]")
        for check, group in LOOKED_AT_BY.items():
            if check in self.gate and not getattr(self, group):
                raise ConfigError(f"gate={check} has nothing to look at: choose a {group}, as +{group}={EXAMPLES[group]}")
        if not self.metric:
            raise ConfigError("metric is empty: choose at least one, as metric=[accuracy]")
        if not self.recipe or not self.runtime:
            raise ConfigError("recipe and runtime must each name at least one")
        if foreign := sorted(set(self.runtime) - set(self.target.runtimes)):
            allowed = ", ".join(self.target.runtimes)
            raise ConfigError(f"runtime={foreign[0]} is not allowed on target {self.target.name}: it allows {allowed}")

    @property
    def service_name(self) -> str:
        """`<model>-<target>`, in lower-case ASCII. A model whose name does not fit has a digest of it in place of the rest."""
        model = _as_label(self.model_name)
        if not self.model_name.isascii() or len(model) > LONGEST_LABEL or not model:
            model = f"{model[:LONGEST_LABEL]}-{fingerprint(self.model_name)[:8]}".strip("-")
        return f"{model}-{_as_label(self.target.name)}"

    @property
    def model_name(self) -> str:
        """The registered model's name, without alias, version and scheme."""
        return name_of(self.model)

    @property
    def digest(self) -> str:
        """The identity of what is asked, whichever way it was written."""
        return fingerprint(self.to_dict())

    def pin(self, ref: ModelRef) -> "Plan":
        """The same plan for exactly this version."""
        return replace(self, pinned=ref)

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe data; `ConfigError` for a worker that holds arrays."""
        return {item.name: _plain(getattr(self, item.name)) for item in fields(self)}

    def to_json(self) -> str:
        """The plan as `fdpipe run --plan` reads it."""
        return msgspec.json.format(msgspec.json.encode(self.to_dict()), indent=1).decode()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Plan":
        """The plan that `to_dict` wrote; `ConfigError` for anything else, and for one that other versions made."""
        _refuse_other_versions(data)
        try:
            plan = msgspec.convert(data, cls, dec_hook=_build)
        except msgspec.ValidationError as error:
            raise ConfigError(f"the plan is not valid: {error}") from error
        if unknown := _surplus(data, plan.to_dict()):
            raise ConfigError(f"the plan is not valid: {unknown} is not known")
        return plan

    @classmethod
    def from_json(cls, text: str | bytes) -> "Plan":
        """The plan that `to_json` wrote."""
        try:
            return cls.from_dict(msgspec.json.decode(text))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"the plan is not valid JSON: {error}") from error


LOOKED_AT_BY: Mapping[str, str] = {"slices": "slicer", "robustness": "corruption"}
"""The gate's checks that look at what is chosen in another group, which brings them into the gate (`fdpipe.config.choices`)."""

EXAMPLES: Mapping[str, str] = {"slicer": "by_label", "corruption": "noise"}


def name_of(reference: str) -> str:
    """The model's name in `name@alias`, `name/version` or `models:/…`."""
    return reference.removeprefix("models:/").partition("@")[0].partition("/")[0]


LONGEST_LABEL = 24
"""Of a model's name in its service's name, which BentoML and Prefect bound."""


def _as_label(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON has no narrower type
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        if workers.room_of(value) is not None:
            return workers.describe(value)
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


_ROOM_OF = {protocol: room for room, protocol in workers.ROOMS.items()}


def _build(wanted: type, value: object) -> object:
    room = _ROOM_OF.get(wanted)
    if room is None or not isinstance(value, Mapping):
        raise ConfigError(f"the plan is not valid: expected a worker, got {value!r}")
    return workers.build(room, value)


def _refuse_other_versions(data: object) -> None:
    """Before anything else is read: what another version wrote may look wrong in many ways."""
    made_by = data.get("versions") if isinstance(data, Mapping) else None
    here = workers.versions()
    for name, wanted in made_by.items() if isinstance(made_by, Mapping) else ():
        if here.get(name) != wanted:
            found = here.get(name, "not installed")
            raise ConfigError(f"the plan was made by {name} {wanted}, this is {found}: plan again")


def _surplus(data: Mapping[str, Any], known: Mapping[str, Any], place: str = "") -> str | None:
    """The first key of the data that the plan made from it has not."""
    for key, value in data.items():
        if key not in known:
            return f"{place}{key}"
        inside = value if isinstance(value, Mapping) and isinstance(known[key], Mapping) else {}
        if found := _surplus(inside, known[key], f"{place}{key}."):
            return found
    return None
