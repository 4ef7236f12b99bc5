"""What an isolated original has sent, made safe: errors, files and its last words."""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
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

DEEPEST = 16
"""So many folders may lie in each other in an export."""

PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""How a file is opened that may be a link or a pipe by now."""


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
    """Take what was made, plain files and folders only, into `folder`; where `path`, relative to it, is now.
    `ConversionError` for anything else. The child is still there: it may put a link in the place of whatever was looked at,
    and still write to a file that was moved. So nothing is opened by a path twice, and files are copied."""
    try:
        handle = os.open(made, PLAIN | os.O_DIRECTORY)
    except OSError as error:
        raise ConversionError("the original's process has made no export") from error
    with _closed(handle):
        _take(handle, folder, DEEPEST)
    if path.is_absolute() or ".." in path.parts or not (folder / path).exists():
        raise ConversionError(f"the original's process has not made {one_line(str(path))[:200]!r}, which it calls its export")
    return folder / path


def _take(source: int, target: Path, depth: int) -> None:
    """Copy all that is in the open folder, and remove it there."""
    for name in os.listdir(source):
        with _opened(name, source) as handle:
            found = os.fstat(handle)
            if stat.S_ISDIR(found.st_mode) and depth:
                (target / name).mkdir()
                _take(handle, target / name, depth - 1)
            elif stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
                with open(handle, "rb", closefd=False) as original, (target / name).open("xb") as copy:
                    shutil.copyfileobj(original, copy, 2**20)
            else:
                raise _odd(name)
        with contextlib.suppress(OSError):
            (os.rmdir if stat.S_ISDIR(found.st_mode) else os.unlink)(name, dir_fd=source)


@contextlib.contextmanager
def _opened(name: str, folder: int) -> Iterator[int]:
    try:
        handle = os.open(name, PLAIN, dir_fd=folder)
    except OSError as error:
        raise _odd(name) from error
    with _closed(handle):
        yield handle


@contextlib.contextmanager
def _closed(handle: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(handle)


def _odd(name: str) -> ConversionError:
    return ConversionError(f"the original's process has made {one_line(name)[:200]!r}, which is no plain file")
