"""One override, wherever it was said: what it may say, and how it changes the composed settings."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fdpipe.config.catalog import GROUPS, Catalog
from fdpipe.errors import ConfigError, among
from fdpipe.workers import TARGET

Tree = dict[str, Any]
"""The composed settings as plain data; interpolations are still text."""

SLOTS = re.compile(r"recipe\.[^.]+\.(passes|calibrator|calibrators|quantizer)")
"""Keys that name workers: what is set there replaces what was there."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """`sign` is "", "+", "++" or "~"; `package` follows an @; `where` names the file, and is empty for the user's own."""

    key: str
    value: Any = None
    sign: str = ""
    package: str | None = None
    where: str = ""

    @property
    def element(self) -> str:
        """What it sets."""
        return f"{self.key}@{self.package}" if self.package else self.key

    @property
    def place(self) -> str:
        """Where the settings stand that it chooses."""
        return self.package or self.key

    @property
    def said(self) -> str:
        """The override as people wrote it."""
        text = f"{self.sign}{self.element}" + ("" if self.sign == "~" and self.value is None else f"={written(self.value)}")
        return f"{text} ({self.where})" if self.where else text

    @property
    def is_choice(self) -> bool:
        """Whether it chooses files of a group."""
        return self.key in GROUPS and self.sign != "~" and not isinstance(self.value, Mapping)

    @property
    def names(self) -> list[str]:
        """The files that a choice names."""
        values = self.value if isinstance(self.value, list) else [] if self.value is None else [self.value]
        return [written(value) for value in values]

    def checked(self) -> "Setting":
        """The same setting; `ConfigError` where it says what only a file on the search path may say."""
        words = [self.key, self.package or "", *_texts(self.value)]
        if any(TARGET in word for word in words):
            raise ConfigError(f"{self.said}: {TARGET} may stand only in a YAML file of a configuration folder")
        if re.split(r"[./@]", self.key)[0] == "hydra":
            raise ConfigError(f"{self.said}: hydra's own settings may stand only in a YAML file of a configuration folder")
        refuse_resolvers(self.value, self.said)
        if self.package and self.key not in GROUPS:
            raise ConfigError(f"{self.said}: {self.key} is no group, so @ does not belong there: {among(self.key, GROUPS)}")
        if self.sign == "~" and self.key in GROUPS:
            return self._without_one()
        return self

    def _without_one(self) -> "Setting":
        """`~gate=speed` as the removal of one entry."""
        if len(self.names) != 1 or self.package:
            raise ConfigError(
                f"{self.said}: name the one to leave out, as ~gate=speed, or choose those to keep, as gate=[quality]"
            )
        return replace(self, key=f"{self.key}.{self.names[0]}", value=None)


def written(value: object) -> str:
    """A value in the words of an override."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{written(item)}' for key, item in value.items())}}}"
    return str(value).replace("\n", "\\n")


def of_file(found: Tree, where: str) -> list[Setting]:
    """What a project's own config.yaml says, each key as an override."""
    if "defaults" in found:
        raise ConfigError(f"{where}: defaults stands only in fdpipe's own config.yaml: write a choice as `metric: [f1]`")
    return [_from_item(str(key), value, where) for key, value in found.items()]


def _from_item(key: str, value: object, where: str) -> Setting:
    sign, name, package = re.fullmatch(r"(\+\+|\+|~|)([^@]*)(?:@(.*))?", key, re.DOTALL).groups()  # type: ignore[union-attr]
    return Setting(sign=sign, key=name, package=package, value=value, where=where).checked()


def refuse_resolvers(value: object, said: str) -> None:
    """`ConfigError` for any interpolation but the path of another setting: a configuration reads nothing else."""
    for text in _texts(value):
        rest = text
        while (shorter := re.sub(r"\$\{[\w.\[\]-]*\}", "", rest)) != rest:
            rest = shorter
        if "${" in rest:
            raise ConfigError(
                f"{said}: {text!r} is not allowed: only the path of another setting may stand in ${{…}}, as ${{gate.drop}}"
            )


def _texts(value: object) -> Iterator[str]:
    """Every key and every string inside."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


_NOTHING = object()


def has(tree: Tree, key: str) -> bool:
    """Whether there is a setting of that path."""
    return look_up(tree, key, _NOTHING) is not _NOTHING


def look_up(tree: Tree, key: str, default: object = None) -> Any:  # noqa: ANN401 - a setting may be anything
    """The value at a path."""
    node: Any = tree
    for part in key.split("."):
        node = _inside(node).get(part, _NOTHING)
    return default if node is _NOTHING else node


def _inside(node: object) -> dict[str, Any]:
    """A mapping's items, a list's by their number, and nothing of anything else."""
    if isinstance(node, list):
        return {str(number): item for number, item in enumerate(node)}
    return node if isinstance(node, dict) else {}


def put(tree: Tree, setting: Setting, catalog: Catalog) -> None:
    """Change the tree as the setting says; `ConfigError` for a key that is not there."""
    *path, last = setting.key.split(".")
    node: Any = tree
    for depth, part in enumerate(path):
        if part not in _inside(node):
            raise _unknown(setting, path[:depth], node, part, catalog)
        node = _inside(node)[part]
    old = _inside(node).get(last, _NOTHING)
    # A limit of the gate that no check has would never be looked at, so that `+` cannot add one either.
    if old is _NOTHING and (not setting.sign.startswith("+") or not isinstance(node, dict) or path == ["gate"]):
        raise _unknown(setting, path, node, last, catalog)
    if setting.sign == "~":
        del node[int(last) if isinstance(node, list) else last]
    elif SLOTS.fullmatch(setting.key) or not (old and isinstance(old, dict)):
        node[int(last) if isinstance(node, list) else last] = setting.value
    elif isinstance(setting.value, dict):
        for key, value in setting.value.items():
            put(tree, replace(setting, key=f"{setting.key}.{key}", value=value), catalog)
    else:
        inside = ", ".join(key for key in old if key != TARGET)
        hint = f"is a group of settings: set one of {inside}" if inside else "has no settings"
        raise ConfigError(f"{setting.said}: {setting.key} {hint}")


def _unknown(setting: Setting, path: list[str], node: object, part: str, catalog: Catalog) -> ConfigError:
    place = ".".join(path)
    if path == ["data"]:
        return ConfigError(f"{setting.said}: no data is chosen for {part!r}: choose it first, as dataset@data.{part}=files")
    if place in GROUPS and part in catalog.choices(place):
        return ConfigError(f"{setting.said}: {part} is not chosen in {place}: add +{place}={part}")
    if not isinstance(node, dict | list):
        return ConfigError(f"{setting.said}: {place} is a value and has no {part!r}")
    known = [key for key in _inside(node) if key != TARGET]
    return ConfigError(f"{setting.said}: there is no setting {'.'.join([*path, part])!r}: {among(part, known)}")
