"""How a plan is written down and read again."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from fdpipe import workers
from fdpipe.errors import ConfigError

T = TypeVar("T")


def plain(value: object) -> Any:  # noqa: ANN401 - JSON has no narrower type
    """A value of a plan as JSON-safe data, a worker with its `_target_`; `ConfigError` for one that holds arrays."""
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        if workers.room_of(value) is not None:
            return workers.describe(value)
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def encoded(data: Mapping[str, Any]) -> str:
    """The data as JSON text."""
    return msgspec.json.format(msgspec.json.encode(data), indent=1).decode()


def decoded(text: str | bytes) -> Any:  # noqa: ANN401 - JSON has no narrower type
    """The data in JSON text; `ConfigError` where it is none."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the plan is not valid JSON: {error}") from error


def read(data: Mapping[str, Any], kind: type[T]) -> T:
    """The plan that `plain` wrote; `ConfigError` for anything else, and for one that other versions made."""
    _refuse_other_versions(data)
    try:
        plan = msgspec.convert(data, kind, dec_hook=_build)
    except msgspec.ValidationError as error:
        raise ConfigError(f"the plan is not valid: {error}") from error
    if unknown := _surplus(data, plain(plan)):
        raise ConfigError(f"the plan is not valid: {unknown} is not known")
    return plan


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
