"""What was composed before, by the content of everything that composing reads."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

import msgspec

from fdpipe.config.catalog import catalog
from fdpipe.config.settings import Tree
from fdpipe.content import file_digest, fingerprint
from fdpipe.home import home


@dataclass(frozen=True, kw_only=True)
class Composed:
    """`said` has interpolations as text, `resolved` what they stand for; `notes` are for the user."""

    said: Tree
    resolved: Tree
    notes: tuple[str, ...]


def remembered(overrides: Sequence[str], project: Path, config_dirs: Sequence[Path]) -> Composed:
    """The settings for these overrides, composed where nothing is known of them. A mistake is not remembered, and without a
    state folder nothing is."""
    kept = home() / "composed" / f"{_key(overrides, project, config_dirs)}.json"
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(kept.read_bytes(), type=Composed)
    from fdpipe.config.composition import composed

    found = composed(overrides, project, config_dirs)
    written = msgspec.json.encode(found)
    # What JSON cannot say, as NaN, comes back as something else.
    if home().is_dir() and msgspec.json.decode(written, type=Composed) == found:
        with suppress(OSError):
            kept.parent.mkdir(exist_ok=True)
            draft = kept.with_name(uuid4().hex)
            draft.write_bytes(written)
            draft.rename(kept)
    return found


def _key(overrides: Sequence[str], project: Path, config_dirs: Sequence[Path]) -> str:
    folders = catalog(project, config_dirs)
    files = [file for folder in folders.folders for file in folder.rglob("*.yaml")]
    files += [*(project / "registry").glob("*/model.yaml"), *Path(__file__).parent.glob("*.py")]
    contents = {str(file): file_digest(file) for file in files if file.is_file()}
    libraries = [version(name) for name in ("fdpipe", "hydra-core", "omegaconf")]
    return fingerprint(list(overrides), [str(folder) for folder in folders.folders], contents, libraries)
