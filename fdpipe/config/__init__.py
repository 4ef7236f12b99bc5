"""The one door: overrides, and what the project and its roster say → Plan.

What was composed is remembered by the content of every file that could matter, so that a repeated request imports neither
Hydra nor OmegaConf. Each `_target_` becomes a worker here, never by `hydra.utils.instantiate`.
"""

from collections.abc import Sequence
from pathlib import Path

from fdpipe import progress
from fdpipe.config.assembly import Assembly
from fdpipe.config.catalog import GROUPS, Choice, catalog
from fdpipe.config.memory import remembered
from fdpipe.errors import ConfigError, among
from fdpipe.plan import Plan


def load(overrides: Sequence[str], *, project: Path | None = None, config_dirs: Sequence[Path] = ()) -> Plan:
    """The plan for these overrides in a project (the working directory); `ConfigError` with one line for any mistake."""
    found = remembered(overrides, project or Path.cwd(), config_dirs)
    for note in found.notes:
        progress.note(note)
    return Assembly(found.said, found.resolved).plan()


def show(overrides: Sequence[str], *, project: Path | None = None, config_dirs: Sequence[Path] = ()) -> str:
    """The composed settings as YAML, before anything is built from them."""
    from fdpipe.config import composition

    return composition.show(overrides, project or Path.cwd(), config_dirs)


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """The jobs of a sweep: every combination of the values that stand side by side, as `+target=cpu,gpu`."""
    from fdpipe.config import composition

    return composition.expand(overrides)


def options(group: str, *, project: Path | None = None, config_dirs: Sequence[Path] = ()) -> list[Choice]:
    """What can be chosen in a group, each with the first line of its file."""
    if group not in GROUPS:
        raise ConfigError(f"there is no {group!r} to choose from: {among(group, GROUPS)}")
    return list(catalog(project or Path.cwd(), config_dirs).choices(group).values())
