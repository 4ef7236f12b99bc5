"""The model roster: what registry/*/model.yaml says of each model."""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from fdpipe.errors import ConfigError, among
from fdpipe.workers import convert

FOLDER = "registry"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One model. `alias` is what training sets and a listener watches, `overrides` come before the user's own,
    `schedule` is a cron line for `targets`, `notify` holds URLs that are told of a result."""

    name: str
    alias: str = "candidate"
    description: str = ""
    targets: tuple[str, ...] = ("cpu",)
    overrides: tuple[str, ...] = ()
    schedule: str | None = None
    notify: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """What can be seen to be wrong without looking anywhere else."""
        if not re.fullmatch(r"[\w.-]+", self.name) or not re.fullmatch(r"[\w.-]+", self.alias):
            raise ValueError("name and alias must be made of letters, digits, '_', '-' and '.'")
        if not self.targets:
            raise ValueError("targets must name at least one, as [cpu]")
        if self.schedule is not None and len(self.schedule.split()) != 5:
            raise ValueError("schedule must be a cron line of five fields, as '0 3 * * *', or null")
        if wrong := [url for url in self.notify if "://" not in url]:
            raise ValueError(f"notify must be a list of URLs, and {wrong[0]!r} is none")

    @property
    def model(self) -> str:
        """The reference that a plan takes."""
        return f"{self.name}@{self.alias}"

    @property
    def place(self) -> str:
        """Its file, relative to the project."""
        return f"{FOLDER}/{self.name}/model.yaml"


def read(project: Path) -> dict[str, Entry]:
    """Every entry by its model's name; `ConfigError` names the file that is wrong."""
    files = sorted((project / FOLDER).glob("*/model.yaml"))
    return {entry.name: entry for entry in (_entry(file, file.relative_to(project).as_posix()) for file in files)}


def train_file(project: Path, name: str) -> Path:
    """The `train.py` of a model of the roster; `ConfigError` where there is none."""
    entries = read(project)
    if name not in entries:
        raise ConfigError(f"{name!r} is not in the roster ({FOLDER}/*/model.yaml): {among(name, entries)}")
    path = project / FOLDER / name / "train.py"
    if not path.is_file():
        raise ConfigError(f"{FOLDER}/{name}/train.py is missing: write it, or register the model yourself")
    return path


def _entry(file: Path, place: str) -> Entry:
    try:
        values = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{place} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{place} must be a mapping with at least a name")
    entry = convert(Entry, values, lambda setting: f"{place}: {setting}" if setting else place)
    if entry.name != file.parent.name:
        raise ConfigError(f"{place}: name={entry.name} must be the name of its folder, {file.parent.name}")
    return entry
