"""`fdpipe init`: an installable project of fdpipe's own shape, for somebody else's models and workers."""

import re
import shutil
from pathlib import Path

from fdpipe import __version__
from fdpipe.errors import ConfigError

PACKAGE = Path(__file__).parent
TEMPLATES = PACKAGE / "templates"

SHARED = ("registry/digits", "flows")
"""What the project gets as fdpipe's own repository has it; the wheel carries a copy among the templates."""

SKIPPED = shutil.ignore_patterns("__pycache__", "*.pyc")


def create(folder: Path) -> list[Path]:
    """Write the project into a new or empty folder; its files. `ConfigError` where something is there already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is not empty: fdpipe init writes only into a new or empty folder")
    shutil.copytree(TEMPLATES / "project", folder, dirs_exist_ok=True, ignore=SKIPPED)
    for name in SHARED:
        shutil.copytree(_shared(name), folder / name, dirs_exist_ok=True, ignore=SKIPPED)
    (folder / "gitignore").rename(folder / ".gitignore")
    for name in ("pyproject.toml", "README.md"):
        _fill_in(folder / name, {"PROJECT_NAME": _distribution(folder), "FDPIPE_VERSION": __version__})
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _shared(name: str) -> Path:
    """In a wheel among the templates, in a checkout beside the package."""
    packed = TEMPLATES / name
    return packed if packed.exists() else PACKAGE.parent / name


def _distribution(folder: Path) -> str:
    """The folder's name as the name of a distribution."""
    return re.sub(r"[^a-z0-9]+", "-", folder.absolute().name.lower()).strip("-") or "models"


def _fill_in(path: Path, words: dict[str, str]) -> None:
    text = path.read_text()
    for word, value in words.items():
        text = text.replace(word, value)
    path.write_text(text)
