"""Overrides, and what the project and its roster say → settings. The only module that knows Hydra and OmegaConf.

Hydra composes the chosen files; values are set on the result. Nothing is written, no environment variable is read.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fdpipe import roster
from fdpipe.config.catalog import GROUPS, Catalog, catalog
from fdpipe.config.choices import choices
from fdpipe.config.memory import Composed
from fdpipe.config.settings import Setting, Tree, has, of_file, put, refuse_resolvers, written
from fdpipe.errors import ConfigError
from fdpipe.plan import name_of
from fdpipe.workers import TARGET

PRIMARY = "fdpipe_primary"
"""The name under which the packaged config.yaml is composed, which no project's own config.yaml can shadow."""

_FROM_FILES = (OmegaConfBaseException, yaml.YAMLError, ValueError, OSError)
_FROM_HYDRA = (HydraException, TypeError, AttributeError, LookupError, AssertionError, RecursionError)
"""What the libraries raise for a wrong file; Hydra lets some of Python's own errors through."""

_hydra_is_global = Lock()


def composed(overrides: Sequence[str], project: Path, config_dirs: Sequence[Path]) -> Composed:
    """The settings for these overrides; `ConfigError` with one line for any mistake."""
    said, notes = _composed(overrides, project, config_dirs)
    return Composed(said=said, resolved=_resolved(said), notes=notes)


def show(overrides: Sequence[str], project: Path, config_dirs: Sequence[Path]) -> str:
    """The composed settings as YAML, before anything is built from them."""
    return OmegaConf.to_yaml(OmegaConf.create(_composed(overrides, project, config_dirs)[0]))


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """The jobs of a sweep: every combination of the values that stand side by side, as `+target=cpu,gpu`."""
    return [list(job) for job in itertools.product(*map(_alternatives, overrides))]


def _alternatives(text: str) -> list[str]:
    override = _parsed(text)
    if not override.is_sweep_override():
        return [text]
    if not override.is_discrete_sweep() or override.value_type is ValueType.GLOB_CHOICE_SWEEP:
        raise ConfigError(f"{text}: a sweep needs its values one by one, as key=a,b")
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


# --- what was said ----------------------------------------------------------------------------------------------------


def _parsed(text: str, where: str = "") -> Override:
    said = f"{text} ({where})" if where else text
    if "=" not in text and not text.startswith("~"):
        raise ConfigError(f"{said}: this is no override: write key=value, as model=digits@candidate or gate.max_drop=0.02")
    try:
        return OverridesParser.create().parse_overrides([text])[0]
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"{said}: cannot be read: {_line(error)}; quote what is special, as key='a b'") from error


def _setting(text: str, where: str = "") -> Setting:
    override = _parsed(text, where)
    sign = "~" if override.is_delete() else "++" if override.is_force_add() else "+" if override.is_add() else ""
    found = Setting(sign=sign, key=override.key_or_group, package=override.package, value=override.value(), where=where)
    if override.is_sweep_override():
        found = replace(found, value=override.get_value_string())
        raise ConfigError(f"{found.said}: several values need --multirun; a list is written key=[a,b]")
    return found.checked()


def _settings(overrides: Sequence[str], project: Path, folders: Catalog) -> list[Setting]:
    """The project's settings, then those of the model's roster entry, then the user's."""
    own = [setting for file in folders.own for setting in of_file(_loaded(file), f"{file.parent.name}/{file.name}")]
    users = [_setting(text) for text in overrides]
    entries = roster.read(project)
    said = [setting for setting in (*own, *users) if setting.key == "model" and setting.value is not None]
    model = said[-1].value if said else _only(entries)
    if not isinstance(model, str):
        raise ConfigError(f"{said[-1].said}: model must be text: name@alias, name/version or models:/…")
    entry = entries.get(name_of(model))
    of_model = [_setting(text, entry.place) for text in entry.overrides] if entry else []
    if wrong := [setting for setting in of_model if setting.key == "model"]:
        raise ConfigError(f"{wrong[0].said}: name and alias say the model there")
    return [*own, *of_model, *users, Setting(key="model", value=model)]


def _only(entries: dict[str, roster.Entry]) -> str:
    if len(entries) == 1:
        return next(iter(entries.values())).model
    known = f"the roster has {', '.join(entry.model for entry in entries.values())}" if entries else "the roster is empty"
    raise ConfigError(f"no model is given: write model=name@alias or model=name/version; {known}")


# --- composition ------------------------------------------------------------------------------------------------------


def _composed(overrides: Sequence[str], project: Path, config_dirs: Sequence[Path]) -> tuple[Tree, tuple[str, ...]]:
    """The settings with recipes' workers filled in and every value set, interpolations still text; and what to tell."""
    folders = catalog(project, config_dirs)
    settings = _settings(overrides, project, folders)
    primary = _loaded(folders.primary)
    chosen, notes = choices(settings, primary["defaults"], folders)
    tree = _by_hydra(folders, primary, chosen)
    _fill_recipes(tree, folders)
    for setting in settings:
        if not setting.is_choice and not _is_moot(setting, tree, settings, folders):
            put(tree, setting, folders)
            _fill_recipes(tree, folders)
    for key, value in tree.items():
        refuse_resolvers(value, key)
    return tree, notes


def _is_moot(setting: Setting, tree: Tree, settings: list[Setting], folders: Catalog) -> bool:
    """Whether a file's setting is for something that was not chosen this time."""
    if not setting.where or has(tree, setting.key):
        return False
    group, *inside = setting.key.split(".")
    chosen_elsewhere = [item.place for item in settings if item.is_choice and item.where != setting.where]
    not_chosen = group in GROUPS and len(inside) > 1 and inside[0] in folders.choices(group)
    return not_chosen or any(setting.key.startswith(f"{place}.") for place in chosen_elsewhere)


def _by_hydra(folders: Catalog, primary: Tree, choices: list[str]) -> Tree:
    """The chosen files, composed. Hydra keeps global state, which is left as it was."""
    first, *others = folders.folders
    node = {**primary, "hydra": {"searchpath": [f"file://{folder}" for folder in others]}}
    try:
        with _hydra_is_global:
            ConfigStore.instance().store(name=PRIMARY, node=node)
            with initialize_config_dir(str(first), version_base="1.3"):
                return _plain(compose(PRIMARY, choices))
    except (*_FROM_HYDRA, *_FROM_FILES) as error:
        raise ConfigError(f"the configuration cannot be composed: {_line(error)}") from error


def _fill_recipes(tree: Tree, folders: Catalog) -> None:
    """Put the files of conf/passes and conf/calibrator where recipes name them."""
    for name, recipe in _mappings(tree.get("recipe")):
        if isinstance(passes := recipe.get("passes"), list):
            recipe["passes"] = [_named("passes", item, folders, f"recipe.{name}.passes") for item in passes]
        if isinstance(others := recipe.get("calibrators"), list):
            named = [(item if isinstance(item, str) else next(iter(item), "")) for item in others]
            place = f"recipe.{name}.calibrators"
            recipe["calibrators"] = {
                key: _named("calibrator", item, folders, place) for key, item in zip(named, others, strict=True)
            }
        for slot, room in (("calibrator", "calibrator"), ("quantizer", "passes")):
            if recipe.get(slot) is not None:
                recipe[slot] = _named(room, recipe[slot], folders, f"recipe.{name}.{slot}")


def _mappings(group: object) -> list[tuple[str, Tree]]:
    return [(key, item) for key, item in group.items() if isinstance(item, dict)] if isinstance(group, dict) else []


def _named(room: str, item: object, folders: Catalog, key: str) -> Tree:
    """`name`, or `{name: {setting: value}}`: the file's settings and, over them, these."""
    if isinstance(item, dict) and TARGET in item:
        return item
    name, settings = next(iter(item.items())) if isinstance(item, dict) and len(item) == 1 else (item, {})
    if not isinstance(name, str) or not isinstance(settings or {}, dict):
        raise ConfigError(f"{key}={written(item)}: write a name of conf/{room}, or {{name: {{setting: value}}}}")
    return _loaded(folders.find(room, name, f"{key}={name}").path) | (settings or {})


def _loaded(file: Path) -> Tree:
    try:
        return _plain(OmegaConf.load(file))
    except _FROM_FILES as error:
        raise ConfigError(f"{file.parent.name}/{file.name} cannot be read: {_line(error)}") from error


def _resolved(tree: Tree) -> Tree:
    """The settings with what their interpolations stand for."""
    try:
        return _plain(OmegaConf.create(tree), resolve=True)
    except (OmegaConfBaseException, RecursionError) as error:
        raise ConfigError(f"{getattr(error, 'full_key', None) or 'a setting'}: {_line(error)}") from error


def _plain(config: object, *, resolve: bool = False) -> Tree:
    found: Any = OmegaConf.to_container(config, resolve=resolve, throw_on_missing=resolve)
    if not isinstance(found, dict):
        raise ValueError("it must be a mapping")
    return found


def _line(error: BaseException) -> str:
    """A library's message in one line, without what it lists below."""
    text = str(error) or str(error.__cause__)
    return " ".join(re.split(r"Config search path|full_key:|See https:", text)[0].split()).removesuffix(".")
