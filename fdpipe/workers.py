"""Workers as data: which rooms there are, what `_target_` may name, and both ways between a worker and its settings."""

import importlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from fdpipe import __version__, interfaces
from fdpipe.artifacts import WorkerSpec
from fdpipe.content import tree_digest
from fdpipe.errors import ConfigError, among

T = TypeVar("T")

Name = Callable[[str], str]
"""What the user calls a setting."""

TARGET = "_target_"

FOLDER = "folder"
"""The field of a worker that has files; where these are is no setting."""

FAKES = "fdpipe.testing"

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
    "slicer": interfaces.Slicer,
    "corruption": interfaces.Corruption,
}
"""Each room's word (its folder in fdpipe/, conf/ and tests/) and the Protocol that its workers satisfy."""


def trusted_packages() -> tuple[str, ...]:
    """fdpipe, its fakes, and every package registered through the entry-point group `fdpipe.plugins`."""
    return ("fdpipe", FAKES, *plugin_packages())


@cache
def plugin_packages() -> tuple[str, ...]:
    """The packages that other distributions register."""
    return tuple(sorted({point.module for point in _plugins()}))


@cache
def versions() -> dict[str, str]:
    """The versions of fdpipe and of the distributions that bring plug-ins, by name."""
    found = {point.dist.name: point.dist.version for point in _plugins() if point.dist is not None}
    return {"fdpipe": __version__} | dict(sorted(found.items()))


def _plugins() -> EntryPoints:
    return entry_points(group="fdpipe.plugins")


def worker_class(room: str, target: object, key: str = TARGET) -> type:
    """The worker's dataclass that `_target_` names, which must live in this room of a trusted package."""
    if room not in ROOMS:
        raise ConfigError(f"{key}: there is no room {room!r}: {among(room, ROOMS)}")
    text = str(target)
    if not any(text.startswith(f"{package}.{room}.") for package in trusted_packages()):
        allowed = " or ".join(f"{package}.{room}." for package in trusted_packages() if package != FAKES)
        raise ConfigError(f"{key} {text!r} is not allowed in {room}: it must begin with {allowed}")
    module_name, _, class_name = text.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, SyntaxError, NameError, TypeError, ValueError) as error:
        raise ConfigError(f"{key} {text!r} cannot be loaded: {type(error).__name__}: {error}") from error
    if not (isinstance(found, type) and is_dataclass(found) and found.__module__ == module_name and _room(found) == room):
        raise ConfigError(f"{key} {text!r} is no worker: it must name a dataclass defined there")
    return found


def build(room: str, settings: Mapping[str, Any], name: Name | None = None) -> Any:  # noqa: ANN401 - the room decides the Protocol
    """The worker that the settings describe; `ConfigError` for a wrong `_target_`, an unknown setting, a wrong value."""
    name = name or (lambda setting: f"{room}.{setting}".removesuffix("."))
    values = dict(settings)
    worker: Any = convert(worker_class(room, values.pop(TARGET, None), name(TARGET)), values, name)
    if not isinstance(worker, ROOMS[room]):
        raise ConfigError(
            f"{name('')}: {type(worker).__name__} has not all that fdpipe.interfaces.{ROOMS[room].__name__} asks for"
        )
    return worker


def convert(kind: type[T], values: Mapping[str, Any], name: Name) -> T:
    """The dataclass with these fields, their types and ranges checked.

    `name` says what the user calls a field, and with an empty text the whole; `ConfigError` uses it.
    """
    known = {item.name for item in fields(kind)}  # type: ignore[arg-type]
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"{name(str(key))} is no setting of {kind.__name__}: {among(str(key), known)}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{name(key)} must be a finite number, got {value}")
    try:
        return msgspec.convert(values, kind, dec_hook=_decode)
    except (ValueError, TypeError) as error:
        raise ConfigError(_explain(kind, values, name, str(error))) from error


_WORDS = {
    "float": "a number",
    "int": "a whole number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
    "path": "a path",
}


def _explain(kind: type, values: Mapping[str, Any], name: Name, text: str) -> str:
    """What msgspec or `__post_init__` said, in terms of the setting's name and value."""
    reason, _, place = text.partition(" - at `$")
    if missing := re.search(r"missing required field `(\w+)`", reason):
        return f"{name(missing[1])} must be set: {kind.__name__} needs it"
    if field := re.match(r"\.(\w+)", place):
        return f"{name(field[1])} must be {_wanted(kind, field[1], reason)}, got {values[field[1]]!r}"
    wrong = [f"{name(key)}={value}" for key, value in values.items() if re.search(rf"\b{key}\b", reason)]
    return f"{', '.join(wrong) or name('')}: {reason}"


def _wanted(kind: type, field: str, reason: str) -> str:
    if expected := re.match(r"Expected `([^`]+)`", reason):
        names = expected[1].split(" | ")
        return f"{' or '.join(_WORDS.get(item, item) for item in names)} ({expected[1]})"
    choices = _choices(get_type_hints(kind)[field])
    return f"one of {', '.join(choices)}" if choices else reason


def _choices(hint: object) -> list[str]:
    """What an enum or a Literal allows, also as one of several types."""
    if isinstance(hint, type) and issubclass(hint, Enum):
        return [str(item.value) for item in hint]
    if get_origin(hint) is Literal:
        return [str(item) for item in get_args(hint)]
    return [choice for part in get_args(hint) for choice in _choices(part)]


def describe(worker: object) -> dict[str, Any]:
    """The settings from which `build` makes an equal worker."""
    kind = type(worker)
    return {TARGET: f"{kind.__module__}.{kind.__qualname__}"} | {
        item.name: _encode(getattr(worker, item.name))
        for item in fields(worker)  # type: ignore[arg-type]
    }


def spec(room: str, worker: object, folder: Path | None = None) -> WorkerSpec:
    """The worker as part of an artifact, with the files below `folder` that it needs."""
    settings = {key: value for key, value in describe(worker).items() if key != FOLDER}
    return WorkerSpec(room=room, settings=settings, folder=folder, digest=tree_digest(folder) if folder else "")


def build_spec(found: WorkerSpec) -> Any:  # noqa: ANN401 - the room decides the Protocol
    """The worker that an artifact carries, with its files where they are now."""
    return build(found.room, dict(found.settings) | ({FOLDER: str(found.folder)} if found.folder else {}))


def room_of(worker: object) -> str | None:
    """The room in which the worker's class lives; None where it is no worker."""
    return _room(type(worker))


def _room(kind: type) -> str | None:
    return next((part for part in kind.__module__.split(".")[1:] if part in ROOMS), None)


def _encode(value: object) -> Any:  # noqa: ANN401 - JSON has no narrower type
    try:
        return msgspec.json.decode(msgspec.json.encode(value, enc_hook=_encode_one))  # so that a tuple is a list at once
    except (TypeError, NotImplementedError) as error:
        raise ConfigError(f"a plan with {type(value).__name__} in memory cannot be written down") from error


def _encode_one(value: object) -> Any:  # noqa: ANN401 - JSON has no narrower type
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value).__name__)


def _decode(wanted: type, value: object) -> object:
    if wanted is Path and isinstance(value, str):
        return Path(value)
    # In msgspec's own words, which `_explain` reads.
    raise TypeError(f"Expected `{wanted.__name__.lower()}`, got `{type(value).__name__}`")
