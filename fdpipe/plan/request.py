"""The plan of one run, and the rules across its fields."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fdpipe import workers
from fdpipe.artifacts import ModelRef
from fdpipe.content import fingerprint
from fdpipe.errors import ConfigError
from fdpipe.interfaces import (
    Check,
    Converter,
    Corruption,
    Deployer,
    Metric,
    Monitor,
    Processor,
    Runtime,
    Search,
    Slicer,
    Source,
)
from fdpipe.plan.recipe import Recipe
from fdpipe.plan.settings import (
    Benchmark,
    Budget,
    Conversion,
    DataPlan,
    Orchestrator,
    ServiceSettings,
    Target,
    Tolerance,
    Unmeasured,
)
from fdpipe.plan.written import decoded, encoded, plain, read


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run's request. `model` is `name@alias`, `name/version` or `models:/…`; `pinned` its version, once known. The
    `certifier` runs an export to compare it with the original where none of the runtimes opens it here as it is.

    Mappings are by the names that configuration gives: a recipe's, a metric's, a check's. Their order is the user's and counts,
    as the first metric is the one that has a floor.
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
    certifier: Runtime | None = None
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
        """The identity of what is asked, whichever way it was written; the order of what was chosen belongs to it."""
        return fingerprint(self)

    def pin(self, ref: ModelRef) -> "Plan":
        """The same plan for exactly this version."""
        return replace(self, pinned=ref)

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe data; `ConfigError` for a worker that holds arrays."""
        found: dict[str, Any] = plain(self)
        return found

    def to_json(self) -> str:
        """The plan as `fdpipe run --plan` reads it."""
        return encoded(self.to_dict())

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Plan":
        """The plan that `to_dict` wrote; `ConfigError` for anything else, and for one that other versions made."""
        return read(data, cls)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Plan":
        """The plan that `to_json` wrote."""
        return cls.from_dict(decoded(text))


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
