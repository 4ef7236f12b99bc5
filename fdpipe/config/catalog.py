"""What there is to choose from: the configuration folders, and the choices of each group in them."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fdpipe.errors import ConfigError, among
from fdpipe.workers import ROOMS, plugin_packages

PACKAGE = Path(__file__).parent.parent

GROUPS = ("target", "recipe", "benchmark", "service", *ROOMS)
"""Each folder of conf/ from which something is chosen: the plain settings, and the rooms."""


@dataclass(frozen=True)
class Choice:
    """One file of a group; `about` is its first line of comment."""

    name: str
    path: Path

    @property
    def about(self) -> str:
        """What the file says of itself."""
        lines = (line.removeprefix("#").strip() for line in self.path.read_text().splitlines() if line.startswith("#"))
        return next((line for line in lines if not line.startswith("@package")), "")


@dataclass(frozen=True)
class Catalog:
    """The configuration folders, the first in front of the others; the last is the packaged one. `own` are the config.yaml
    files with the project's settings, the last in front."""

    folders: tuple[Path, ...]
    own: tuple[Path, ...] = ()

    def choices(self, group: str) -> dict[str, Choice]:
        """The files of a group by name; one in front shadows one of the same name behind."""
        files = {file.stem: file for folder in reversed(self.folders) for file in (folder / group).glob("*.yaml")}
        return {name: Choice(name, files[name]) for name in sorted(files)}

    def find(self, group: str, name: str, said: str) -> Choice:
        """The choice of that name; `ConfigError` beginning with what the user said, and with the choices."""
        choices = self.choices(group)
        if name not in choices:
            kind = "pass" if group == "passes" else group
            raise ConfigError(f"{said}: there is no {kind} {name!r}: {among(name, choices)}")
        return choices[name]

    @property
    def primary(self) -> Path:
        """The packaged config.yaml, which has the defaults list."""
        return self.folders[-1] / "config.yaml"


def catalog(project: Path, config_dirs: Sequence[Path] = ()) -> Catalog:
    """The folders in their order: `config_dirs`, the project's conf/, those of plug-ins, the packaged one."""
    for folder in config_dirs:
        if not folder.is_dir():
            raise ConfigError(f"--config-dir {folder}: there is no such folder")
    plugins = [found for package in plugin_packages() if (found := _folder_of(package))]
    folders = [*config_dirs, project / "conf", *plugins]
    packaged = _packaged()
    in_front = dict.fromkeys(folder.resolve() for folder in folders if folder.is_dir() and folder.resolve() != packaged)
    settings = [folder / "config.yaml" for folder in (project / "conf", *reversed(config_dirs)) if folder.resolve() in in_front]
    return Catalog((*in_front, packaged), tuple(file for file in settings if file.is_file()))


def _packaged() -> Path:
    """Inside the package in a wheel, beside it in a checkout."""
    inside = PACKAGE / "conf"
    return (inside if inside.is_dir() else PACKAGE.parent / "conf").resolve()


def _folder_of(package: str) -> Path | None:
    """A plug-in's conf/: inside its package or, in its project's own folder, beside it."""
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    place = Path(next(iter(spec.submodule_search_locations)))
    beside = [] if place.parent.name in ("site-packages", "dist-packages") else [place.parent / "conf"]
    return next((folder for folder in (place / "conf", *beside) if folder.is_dir()), None)
