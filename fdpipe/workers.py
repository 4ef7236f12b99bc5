"""Workers as data: which rooms there are, what `_target_` may name, and both ways between a worker and its settings."""

import importlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import msgspec

from fdpipe import interfaces
from fdpipe.artifacts import WorkerSpec
from fdpipe.errors import ConfigError

TARGET = "_target_"

ROOMS: Mapping[str, type] = {
    "source": interfaces.Source,
    "converter": interfaces.Converter,
    "processor": interfaces.Processor,
    "passes": interfaces.Pass,
    "calibrator": interfaces.Calibrator,
    "search": interfaces.Search,
    "runtime": interfaces.Runtime,
    "dataset": interfaces.Dataset,
    "metric": interfaces.Metric,
    "gate": interfaces.Check,
    "deployer": interfaces.Deployer,
    "monitor": interfaces.Monitor,
}
"""Each room's word (its folder in fdpipe/, conf/ and tests/) and the Protocol that its workers satisfy."""


@cache
def trusted_packages() -> tuple[str, ...]:
    """fdpipe, and every package registered through the entry-point group `fdpipe.plugins`."""
    return ("fdpipe", *sorted({point.value for point in entry_points(group="fdpipe.plugins")}))


def worker_class(room: str, target: object) -> type:
    """The worker's dataclass that `_target_` names, which must live in this room of a trusted package."""
    text = str(target)
    package = next((name for name in trusted_packages() if text.startswith(f"{name}.{room}.")), None)
    if package is None:
        allowed = " or ".join(f"{name}.{room}." for name in trusted_packages())
        raise ConfigError(f"{TARGET} {text!r} is not allowed in {room}: it must begin with {allowed}")
    module_name, _, class_name = text.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{TARGET} {text!r} cannot be loaded: {error}") from error
    if not (isinstance(found, type) and is_dataclass(found) and found.__module__ == module_name):
        raise ConfigError(f"{TARGET} {text!r} is no worker: it must name a dataclass defined there")
    return found


def build(room: str, settings: Mapping[str, Any]) -> Any:  # noqa: ANN401 - the room decides the Protocol
    """The worker that the settings describe, its fields' types and ranges checked."""
    values = dict(settings)
    found = worker_class(room, values.pop(TARGET, None))
    known = {item.name for item in fields(found)}
    if unknown := sorted(set(values) - known):
        raise ConfigError(f"{room}.{unknown[0]} is no setting of {found.__name__}: it has {', '.join(sorted(known))}")
    try:
        return msgspec.convert(values, found, dec_hook=_decode)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        raise ConfigError(f"{room}: {found.__name__}: {error}") from error


def describe(worker: object) -> dict[str, Any]:
    """The settings from which `build` makes an equal worker."""
    kind = type(worker)
    return {TARGET: f"{kind.__module__}.{kind.__qualname__}"} | {
        item.name: _encode(getattr(worker, item.name))
        for item in fields(worker)  # type: ignore[arg-type]
    }


def spec(room: str, worker: object) -> WorkerSpec:
    """The worker as part of an artifact."""
    return WorkerSpec(room=room, settings=describe(worker))


def build_spec(found: WorkerSpec) -> Any:  # noqa: ANN401 - the room decides the Protocol
    """The worker that an artifact carries."""
    return build(found.room, found.settings)


def room_of(worker: object) -> str | None:
    """The room in which the worker's class lives; None where it is no worker."""
    parts = type(worker).__module__.split(".")
    return next((part for part in parts[1:] if part in ROOMS), None)


def _encode(value: object) -> Any:  # noqa: ANN401 - JSON has no narrower type
    try:
        return msgspec.to_builtins(value, enc_hook=_encode_one)
    except (TypeError, NotImplementedError) as error:
        raise ConfigError(f"a plan with {type(value).__name__} in memory cannot be written down") from error


def _encode_one(value: object) -> Any:  # noqa: ANN401 - JSON has no narrower type
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    raise NotImplementedError(type(value).__name__)


def _decode(wanted: type, value: object) -> object:
    if wanted is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"expected {wanted.__name__}, got {value!r}")
