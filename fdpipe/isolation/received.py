"""What an isolated original has sent, made safe: errors, files and its last words."""

import shutil
import stat
from pathlib import Path

from fdpipe import errors
from fdpipe.errors import ConversionError, FdpipeError, OriginalLost
from fdpipe.isolation.messages import Refusal

ERRORS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, FdpipeError) and kind is not OriginalLost
}

LONGEST_TEXT = 2000
LAST_LINES, LAST_CHARACTERS = 3, 600
TAIL_BYTES = 64 * 1024


def error(refusal: Refusal) -> FdpipeError:
    """One of ours as it was, anything else as a `ConversionError`."""
    return ERRORS.get(refusal.kind, ConversionError)(one_line(refusal.text)[:LONGEST_TEXT])


def one_line(text: str) -> str:
    """Without line breaks, and without what would move a terminal's cursor."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def last_words(log: Path) -> str:
    """The last lines of the log, as the end of a message; empty where there is none."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - TAIL_BYTES))
        lines = stream.read(TAIL_BYTES).decode(errors="replace").splitlines()
    said = [line for raw in lines if (line := one_line(raw))][-LAST_LINES:]
    return f"; its last lines: {' / '.join(said)[-LAST_CHARACTERS:]}" if said else ""


def fetch(made: Path, folder: Path, path: Path) -> Path:
    """Move what was made, plain files and folders only, into `folder`, out of the child's reach; where `path`, relative to
    it, is now. `ConversionError` for anything else."""
    if made.is_symlink() or not made.is_dir():
        raise ConversionError("the original's process has made no export")
    for item in made.iterdir():
        shutil.move(item, folder / item.name)
    _require_plain(folder)
    if path.is_absolute() or ".." in path.parts or not (folder / path).exists():
        raise ConversionError(f"the original's process has not made {one_line(str(path))[:200]!r}, which it calls its export")
    return folder / path


def _require_plain(folder: Path) -> None:
    for item in folder.iterdir():
        found = item.lstat()
        if stat.S_ISDIR(found.st_mode):
            _require_plain(item)
        elif not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            raise ConversionError(f"the original's process has made {one_line(item.name)[:200]!r}, which is no plain file")
