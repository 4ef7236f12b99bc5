"""What a worker's own packages are, and which of them are here; none of them is imported."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml

from fdpipe.errors import ConfigError
from fdpipe.workers import TARGET, worker_class

NEEDY = ("converter", "runtime")
"""The rooms whose workers bring libraries of their own."""


@dataclass(frozen=True)
class Needs:
    """The packages that are here with their versions, those that are not, and what to do then."""

    installed: Mapping[str, str]
    missing: tuple[str, ...] = ()
    install: str = ""

    @property
    def words(self) -> str:
        """In one cell of a table."""
        if self.missing:
            verb = "is" if len(self.missing) == 1 else "are"
            return f"{', '.join(self.missing)} {verb} not here: {self.install}"
        return ", ".join(f"{name} {found}" for name, found in self.installed.items()) or self.install


def needs_of(room: str, choice: Path) -> Needs:
    """What the worker that this file describes needs."""
    try:
        kind = worker_class(room, (yaml.safe_load(choice.read_text()) or {}).get(TARGET))
    except ConfigError as error:
        return Needs({}, install=str(error))
    packages: tuple[str, ...] = getattr(kind, "packages", ())
    installed = {name: found for name in packages if (found := _version(name))}
    missing = tuple(names[0] for names in _alternatives(packages) if not installed.keys() & set(names))
    return Needs(installed, missing, _install(room, getattr(kind, "extra", ""), missing) if missing else "")


def _alternatives(packages: Sequence[str]) -> list[list[str]]:
    """Packages that bring the same library, as `tensorflow` and `tensorflow-cpu`, side by side."""
    found: dict[str, list[str]] = {}
    for name in packages:
        found.setdefault(re.sub(r"-(cpu|gpu)$", "", name), []).append(name)
    return list(found.values())


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _install(room: str, extra: str, missing: Sequence[str]) -> str:
    command = f"pip install 'fdpipe[{extra}]'" if extra else f"pip install {' '.join(missing)}"
    return f"{command}, or converter.isolation=venv" if room == "converter" else command
