"""The composed settings → Plan: each `_target_` becomes a worker, and an error names the key that the user sets."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, TypeVar

from fdpipe import workers
from fdpipe.config.settings import Tree, look_up
from fdpipe.errors import ConfigError, among
from fdpipe.plan import (
    Benchmark,
    Budget,
    Conversion,
    DataPlan,
    Orchestrator,
    Plan,
    Recipe,
    ServiceSettings,
    Target,
    Tolerance,
    Unmeasured,
)
from fdpipe.workers import TARGET

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, kw_only=True)
class _Worth:
    runtimes: tuple[str, ...]


class Assembly:
    """`said` are the settings with their interpolations as text, `values` the same with what they stand for."""

    def __init__(self, said: Tree, values: Tree) -> None:
        self.said = said
        self.values = values

    def plan(self) -> Plan:
        """The plan; `ConfigError` for anything that does not belong into one."""
        known = {item.name for item in fields(Plan)} - {"pinned", "versions", "conversion", "budget", "unmeasured"}
        if unknown := sorted(set(self.values) - known):
            raise ConfigError(f"there is no setting {unknown[0]!r}: {among(unknown[0], known)}")
        return Plan(
            model=str(self.values["model"]),
            target=self.settings(Target, "target"),
            source=self.worker("source", "source"),
            data=self.data(),
            converter=self.workers("converter"),
            processor=self.workers("processor"),
            runtime=self.workers("runtime"),
            recipe={name: self.recipe(name) for name in self.group("recipe")},
            search=self.search(),
            budget=workers.convert(Budget, self.budget(), self.name("search")),
            unmeasured=self.choice(Unmeasured, "gate.unmeasured", Unmeasured.REFUSE),
            metric=self.workers("metric"),
            gate=self.workers("gate"),
            deployer=self.worker("deployer", "deployer"),
            monitor=self.workers("monitor"),
            slicer=self.workers("slicer"),
            corruption=self.workers("corruption"),
            certifier=self.worker("runtime", "certifier") if self.group("certifier") else None,
            benchmark=self.settings(Benchmark, "benchmark"),
            service=self.settings(ServiceSettings, "service"),
            conversion=workers.convert(Conversion, self.beside_workers("converter"), self.name("converter")),
            parity=self.settings(Tolerance, "parity"),
            orchestrator=self.choice(Orchestrator, "orchestrator"),
        )

    def name(self, key: str) -> workers.Name:
        """What the user calls the settings below a key: the end of a chain of plain interpolations."""

        def origin(setting: str) -> str:
            found = f"{key}.{setting}" if setting else key
            while link := re.fullmatch(r"\$\{([\w.-]+)\}", str(look_up(self.said, found))):
                found = link[1]
            return found

        return origin

    def group(self, key: str) -> Mapping[str, Any]:
        """The entries of a group; empty where nothing is chosen."""
        found = look_up(self.values, key) or {}
        if not isinstance(found, dict):
            raise ConfigError(f"{key} must be a mapping, got {found!r}")
        return found

    def settings(self, kind: type[T], key: str) -> T:
        """Plain settings as their dataclass."""
        return workers.convert(kind, self.group(key), self.name(key))

    def worker(self, room: str, key: str) -> Any:  # noqa: ANN401 - the room decides the Protocol
        """The worker that is described at a key."""
        return workers.build(room, self.worker_at(room, key), self.name(key))

    def worker_at(self, room: str, key: str) -> dict[str, Any]:
        """The settings of a worker at a key; `ConfigError` where there are none."""
        found = look_up(self.values, key)
        if not isinstance(found, dict) or TARGET not in found:
            raise ConfigError(f"{key} must be a worker chosen from conf/{room}, got {found!r}")
        return found

    def workers(self, room: str) -> dict[str, Any]:
        """The workers of a room of which several are chosen."""
        return {key: self.worker(room, f"{room}.{key}") for key in self.group(room) if key not in self.beside_workers(room)}

    def beside_workers(self, room: str) -> dict[str, Any]:
        """What stands beside a room's workers: the gate's short limits, how converters are kept apart."""
        plain = room in ("gate", "converter")
        return {key: value for key, value in self.group(room).items() if plain and not isinstance(value, dict)}

    def data(self) -> DataPlan:
        """The data set of each role."""
        chosen, roles = self.group("data"), [item.name for item in fields(DataPlan)]
        self._refuse_unknown("data", chosen, roles)
        if "evaluation" not in chosen:
            raise ConfigError("data.evaluation must be chosen, as dataset@data.evaluation=mlflow_evaluation")
        return DataPlan(**{role: self.worker("dataset", f"data.{role}") for role in chosen})

    def recipe(self, name: str) -> Recipe:
        """One recipe, its workers built."""
        key = f"recipe.{name}"
        found = self.group(key)
        self._refuse_unknown(key, found, [item.name for item in fields(Recipe)])
        listed = found.get("passes") or []
        if not isinstance(listed, list):
            raise ConfigError(f"{key}.passes must be a list, got {listed!r}")
        passes = [self.worker("passes", f"{key}.passes.{number}") for number in range(len(listed))]
        calibrator = self.worker("calibrator", f"{key}.calibrator") if found.get("calibrator") else None
        others = {name: self.worker("calibrator", f"{key}.calibrators.{name}") for name in found.get("calibrators") or {}}
        quantizer = self.worker("passes", f"{key}.quantizer") if found.get("quantizer") else None
        runtimes = workers.convert(_Worth, {"runtimes": found.get("runtimes") or []}, self.name(key)).runtimes
        try:
            return Recipe(
                passes=tuple(passes), calibrator=calibrator, calibrators=others, quantizer=quantizer, runtimes=runtimes
            )
        except ValueError as error:
            raise ConfigError(f"{key}: {error}") from error

    def search(self) -> Any:  # noqa: ANN401 - a Search
        """The search, without the budget that stands beside its own settings."""
        found = self.worker_at("search", "search")
        own = {key: value for key, value in found.items() if key not in self.budget()}
        return workers.build("search", own, self.name("search"))

    def budget(self) -> dict[str, Any]:
        """How long a search may go on."""
        return {key: value for key, value in self.group("search").items() if key in {item.name for item in fields(Budget)}}

    def choice(self, kind: type[E], key: str, usual: E | None = None) -> E:
        """One of an enumeration's words; the usual one, if there is any, where nothing is said."""
        value = look_up(self.values, key, usual)
        try:
            return kind(value)
        except ValueError as error:
            raise ConfigError(f"{key}={value}: {among(str(value), list(kind))}") from error

    def _refuse_unknown(self, key: str, found: Mapping[str, Any], known: list[str]) -> None:
        if unknown := sorted(set(found) - set(known)):
            raise ConfigError(f"there is no setting '{key}.{unknown[0]}': {among(unknown[0], known)}")
