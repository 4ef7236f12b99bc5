"""Which files are chosen: of everything that was said, the last choice of each group."""

from typing import Any

from fdpipe.config.catalog import Catalog
from fdpipe.config.settings import Setting, written
from fdpipe.errors import ConfigError
from fdpipe.plan import LOOKED_AT_BY

TAKE_ALL = ("converter", "processor")
"""Groups of which every file is chosen unless some are named, so that a new worker changes no existing file."""


def choices(settings: list[Setting], defaults: list[Any], folders: Catalog) -> tuple[list[str], tuple[str, ...]]:
    """The choices as overrides for Hydra, and what to tell: `cpu` is chosen where no target is. `ConfigError` for a file that
    is not there."""
    known = {key: value for item in defaults if isinstance(item, dict) for key, value in item.items()}
    chosen: dict[str, Any] = {group: list(folders.choices(group)) for group in TAKE_ALL}
    added: dict[str, list[str]] = {}
    for setting in (item for item in settings if item.is_choice):
        several = _takes_several(setting, known)
        for name in setting.names:
            folders.find(setting.key, name, setting.said)
        if several and setting.sign:
            added.setdefault(setting.element, []).extend(setting.names)
        else:
            added.pop(setting.element, None)
            chosen[setting.element] = setting.names if several else next(iter(setting.names), None)
    _look_at_what_is_chosen(chosen, added, known)
    notes = () if "target" in chosen else ("no target given: cpu",)
    chosen.setdefault("target", "cpu")
    for element in [element for element in added if element in chosen]:
        # Beside a choice of the whole, Hydra drops what is added to it.
        chosen[element] = list(dict.fromkeys([*(chosen[element] or []), *added.pop(element)]))
    # Hydra takes a group that is absent from the defaults list, as target is, only with a plus, and no null.
    lines = [f"{'' if key in known else '+'}{key}={written(value)}" for key, value in chosen.items() if value is not None]
    lines += [f"~{key}" for key, value in chosen.items() if value is None and key in known]
    return lines + [f"+{key}={written(value)}" for key, value in added.items()], notes


def _look_at_what_is_chosen(chosen: dict[str, Any], added: dict[str, list[str]], known: dict[str, Any]) -> None:
    """Slicers and corruptions bring the check that looks at them into the gate, where that is not empty."""

    def of(group: str) -> list[str]:
        return [*(chosen.get(group, known.get(group)) or []), *added.get(group, [])]

    for check, group in LOOKED_AT_BY.items():
        if of(group) and of("gate") and check not in of("gate"):
            added.setdefault("gate", []).append(check)


def _takes_several(setting: Setting, known: dict[str, Any]) -> bool:
    """Whether the choice is one of several; `ConfigError` where the group is not chosen like this."""
    if setting.element not in known and setting.element != "target":
        places = [key for key in known if key.startswith(f"{setting.key}@") or key == setting.key]
        hint = f"write {' or '.join(places)}" if places else f"a recipe names its {setting.key}"
        raise ConfigError(f"{setting.said}: {setting.element} is not chosen like this: {hint}")
    several = isinstance(known.get(setting.element), list)
    if isinstance(setting.value, list) and not several:
        example = f"{setting.element}={(setting.names or ['…'])[0]}"
        raise ConfigError(f"{setting.said}: {setting.element} takes one choice, as {example}")
    return several
