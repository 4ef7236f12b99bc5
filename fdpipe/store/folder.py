"""Results by content in a folder: atomic, crash-safe, verified before use.

An entry is a folder `<stage>/<key>` with the files that the stage wrote, `value.json` (what it returned) and `files.json`
(the digest of every other file). It is written in a scratch folder, synced and renamed, so that it is whole or not there;
the folders are the only index, and the time of `files.json` is when the entry was last used.
"""

import errno
import os
import shutil
import typing
import uuid
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from fdpipe import progress
from fdpipe.content import file_digest, files_below
from fdpipe.errors import StoreError
from fdpipe.store import locks

FILES = "files.json"


class Store(Protocol):
    """Where results are kept, by stage and key."""

    @property
    def root(self) -> Path:
        """The folder below which every entry lies; paths inside entries are relative to it."""

    def find(self, stage: str, key: str) -> Path | None:
        """The entry's folder, its files verified; None for a missing or damaged one."""

    def scratch(self, stage: str) -> Path:
        """A new empty folder to write an entry in."""

    def publish(self, stage: str, key: str, folder: Path, seconds: float) -> Path:
        """Make the scratch folder the entry, atomically, in place of a damaged one; its folder from now on."""

    def locked(self, stage: str, key: str, waiting: Callable[[], None]) -> typing.ContextManager[None]:
        """Only one process at a time computes an entry; `waiting` is called once if another one holds it."""

    def discard(self, stage: str, key: str) -> None:
        """Remove an entry; nothing where there is none."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry; `seconds` is what it took to compute, `used` the time of its last use since the epoch."""

    stage: str
    key: str
    size_bytes: int
    seconds: float
    used: float


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """`files.json`."""

    seconds: float
    size_bytes: int
    files: dict[str, str]


class LocalStore:
    """The store as a folder, which any number of processes and threads may share.

    Every open store holds a kernel's lock, which dies with its process: that tells the living from the dead, so that
    what a killed process left in scratch is swept, and what a living one may use is not pruned.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._id = uuid.uuid4().hex[:16]
        try:
            for name in ("objects", "scratch", "locks", "open"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            with self.alone():
                self._sweep()
                handle = locks.acquire(self.root / "open" / self._id)
                (self.root / "scratch" / self._id).mkdir()
        except OSError as error:
            raise _unwritable(self.root, os.strerror(error.errno or 0)) from error
        weakref.finalize(self, os.close, handle)

    def folder(self, stage: str, key: str) -> Path:
        """Where the entry lies, whether or not it exists."""
        return self.root / "objects" / stage / key

    def find(self, stage: str, key: str) -> Path | None:
        folder = self.folder(stage, key)
        if not folder.exists():
            return None
        with suppress(OSError):
            os.utime(folder / FILES)  # before it is read: from now on a pruner lets it be
        if not _is_whole(folder):
            progress.note(f"a stored result of {stage} is damaged and is not used")
            return None
        return folder

    def scratch(self, stage: str) -> Path:
        folder = self.root / "scratch" / self._id / f"{stage}-{uuid.uuid4().hex[:12]}"
        with writing(self.root):
            folder.mkdir()
        return folder

    def publish(self, stage: str, key: str, folder: Path, seconds: float) -> Path:
        final = self.folder(stage, key)
        with writing(self.root):
            files = files_below(folder)
            facts = _Facts(
                seconds=seconds,
                size_bytes=sum(file.stat().st_size for file in files),
                files={file.relative_to(folder).as_posix(): file_digest(file) for file in files},
            )
            (folder / FILES).write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=1))
            _sync(*folder.rglob("*"), folder)
            final.parent.mkdir(exist_ok=True)
            self.discard(stage, key)
            folder.rename(final)
            _sync(final.parent, final.parent.parent)
        return final

    @contextmanager
    def locked(self, stage: str, key: str, waiting: Callable[[], None]) -> Iterator[None]:
        with writing(self.root):
            handle = locks.acquire(self.root / "locks" / f"{stage}-{key}", waiting)
        try:
            yield
        finally:
            os.close(handle)

    def discard(self, stage: str, key: str) -> None:
        self.discard_unused(stage, key, float("inf"))

    def discard_unused(self, stage: str, key: str, since: float) -> bool:
        """Remove the entry unless it was used after `since`, by whoever has just found it; whether it is gone."""
        folder = self.folder(stage, key)
        if _entry(folder).used > since:
            return False
        doomed = self.root / "scratch" / self._id / f"doomed-{uuid.uuid4().hex[:12]}"
        with suppress(FileNotFoundError):
            folder.rename(doomed)
        if _entry(doomed).used > since:  # found at this very moment
            with suppress(OSError):  # where it was computed anew meanwhile, that one stays
                doomed.rename(folder)
                return False
        shutil.rmtree(doomed, ignore_errors=True)
        return True

    def entries(self) -> list[Entry]:
        """Every entry, the longest unused first; what cannot be read counts as never used."""
        found = [_entry(folder) for folder in (self.root / "objects").glob("*/*")]
        return sorted(found, key=lambda entry: entry.used)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process opens the store, or prunes it, meanwhile."""
        handle = locks.acquire(self.root / "locks" / "store")
        try:
            yield
        finally:
            os.close(handle)

    def in_use_since(self) -> float:
        """When the oldest other open store was opened; infinity where there is none."""
        others = [file for file in (self.root / "open").iterdir() if file.name != self._id and locks.is_held(file)]
        return min((file.stat().st_mtime for file in others), default=float("inf"))

    def _sweep(self) -> None:
        """Remove what killed processes left."""
        for file in (self.root / "open").iterdir():
            if not locks.is_held(file):
                shutil.rmtree(self.root / "scratch" / file.name, ignore_errors=True)
                file.unlink()


def _is_whole(folder: Path) -> bool:
    """Whether the entry has exactly the files it was published with, unchanged."""
    try:
        wanted = _facts(folder).files
        there = {file.relative_to(folder).as_posix() for file in files_below(folder)} - {FILES}
        return there == set(wanted) and all(file_digest(folder / name) == digest for name, digest in wanted.items())
    except (OSError, msgspec.MsgspecError):
        return False


def _facts(folder: Path) -> _Facts:
    return msgspec.json.decode((folder / FILES).read_bytes(), type=_Facts)


def _entry(folder: Path) -> Entry:
    used, facts = 0.0, _Facts(seconds=0.0, size_bytes=0, files={})
    with suppress(OSError, msgspec.MsgspecError):
        facts, used = _facts(folder), (folder / FILES).stat().st_mtime
    return Entry(stage=folder.parent.name, key=folder.name, size_bytes=facts.size_bytes, seconds=facts.seconds, used=used)


def _sync(*paths: Path) -> None:
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Turn what a full or read-only disk does to the block into a `StoreError`, in whatever words a library has put it."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        if reason := _disk_trouble(error, root):
            raise _unwritable(root, reason) from error
        raise


def _unwritable(root: Path, reason: str) -> StoreError:
    cure = "free some space, run `fdpipe prune`, or set FDPIPE_HOME"
    return StoreError(f"the store {root} cannot be written ({reason}): {cure}")


def _disk_trouble(error: Exception, root: Path) -> str | None:
    if isinstance(error, OSError):
        below = error.filename is not None and Path(os.fsdecode(error.filename)).is_relative_to(root)
        if error.errno in (errno.ENOSPC, errno.EDQUOT) or (below and error.errno in (errno.EROFS, errno.EACCES)):
            return os.strerror(error.errno)
    return os.strerror(errno.ENOSPC) if root.exists() and shutil.disk_usage(root).free < 2**16 else None
