"""Results by content: atomic, crash-safe, verified before use; and `stage`, which makes a function remember its results.

An entry is a folder `<stage>/<key>` with the files that the stage wrote, `value.json` (what it returned) and `files.json`
(the digest of every other file). It is written in a temporary folder, synced, renamed, and then noted in the index.
"""

import errno
import fcntl
import functools
import inspect
import json
import os
import shutil
import sqlite3
import sys
import time
import typing
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Concatenate, Generic, ParamSpec, Protocol, TypeVar

from fdpipe import progress
from fdpipe.artifacts import Provenance
from fdpipe.content import file_digest, files_below, fingerprint, from_json, to_json
from fdpipe.errors import StoreError
from fdpipe.machine import describe_machine

P = ParamSpec("P")
T = TypeVar("T")

VALUE = "value.json"
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
    """One row of the index; times are seconds since the epoch."""

    stage: str
    key: str
    size_bytes: int
    seconds: float
    created: float
    used: float


class LocalStore:
    """The store as a folder with an SQLite index; any number of processes may share it."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        with _told(self.root):
            for name in ("objects", "scratch", "locks"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            with self._index() as index:
                index.execute(
                    "CREATE TABLE IF NOT EXISTS entries (stage TEXT, key TEXT, size_bytes INTEGER, seconds REAL,"
                    " created REAL, used REAL, PRIMARY KEY (stage, key))"
                )
            self._sweep()

    def folder(self, stage: str, key: str) -> Path:
        """Where the entry lies, whether or not it exists."""
        return self.root / "objects" / stage / key

    def find(self, stage: str, key: str) -> Path | None:
        folder = self.folder(stage, key)
        if not folder.exists():
            return None
        if not _is_whole(folder):
            progress.note(f"{stage}: the stored result is damaged and is made again")
            return None
        with suppress(sqlite3.OperationalError), self._index() as index:
            index.execute("UPDATE entries SET used = ? WHERE stage = ? AND key = ?", (time.time(), stage, key))
        return folder

    def scratch(self, stage: str) -> Path:
        folder = self.root / "scratch" / f"{os.getpid()}-{stage}-{uuid.uuid4().hex[:12]}"
        with _told(self.root):
            folder.mkdir()
        return folder

    def publish(self, stage: str, key: str, folder: Path, seconds: float) -> Path:
        final = self.folder(stage, key)
        with _told(self.root):
            digests = {file.relative_to(folder).as_posix(): file_digest(file) for file in files_below(folder)}
            (folder / FILES).write_text(json.dumps(digests, indent=1))
            size = sum(file.stat().st_size for file in files_below(folder))
            _sync(folder)
            final.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(final, ignore_errors=True)
            folder.rename(final)
            _sync_one(final.parent)
            now = time.time()
            with self._index() as index:
                index.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)", (stage, key, size, seconds, now, now))
        return final

    @contextmanager
    def locked(self, stage: str, key: str, waiting: Callable[[], None]) -> Iterator[None]:
        with _told(self.root):
            handle = os.open(self.root / "locks" / f"{stage}-{key}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def discard(self, stage: str, key: str) -> None:
        folder = self.folder(stage, key)
        doomed = self.root / "scratch" / f"{os.getpid()}-doomed-{uuid.uuid4().hex[:12]}"
        with suppress(FileNotFoundError):
            folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
        with self._index() as index:
            index.execute("DELETE FROM entries WHERE stage = ? AND key = ?", (stage, key))

    def entries(self) -> list[Entry]:
        """Every entry, the longest unused first."""
        with self._index() as index:
            rows = index.execute("SELECT stage, key, size_bytes, seconds, created, used FROM entries ORDER BY used").fetchall()
        names = [item.name for item in fields(Entry)]
        return [Entry(**dict(zip(names, row, strict=True))) for row in rows]

    @contextmanager
    def _index(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.root / "index.sqlite", timeout=30)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def _sweep(self) -> None:
        """Remove what killed processes left in scratch."""
        for folder in (self.root / "scratch").iterdir():
            owner = folder.name.partition("-")[0]
            if not Path(f"/proc/{owner}").exists():
                shutil.rmtree(folder, ignore_errors=True)


class Stage(Generic[P, T]):
    """A stage that remembers: called with a store, it looks its result up before it works."""

    def __init__(self, work: Callable[Concatenate[Path, P], T], *, machine_bound: bool) -> None:
        functools.update_wrapper(self, work)
        self.work = work
        self.name = work.__name__
        self.machine_bound = machine_bound

    def __call__(self, store: Store, *args: P.args, **kwargs: P.kwargs) -> T:
        with progress.step(self.name) as step:
            key = self.key(*args, **kwargs)
            found = store.find(self.name, key)
            if found is None:
                with store.locked(self.name, key, lambda: step.emit("wait", "another run is computing this")):
                    found = store.find(self.name, key)
                    if found is None:
                        return self._compute(store, key, *args, **kwargs)
            step.reused = True
            return self._read(found, store)

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """What the result depends on, as a digest."""
        machine = describe_machine().fingerprint if self.machine_bound else None
        inputs = inspect.signature(self.work).bind(Path(), *args, **kwargs).arguments
        return fingerprint(self.name, self._code(args, kwargs), self._versions(args, kwargs), machine, inputs)

    def is_stored(self, store: Store, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Whether calling it now would reuse a result."""
        return store.find(self.name, self.key(*args, **kwargs)) is not None

    def forget(self, store: Store, *args: P.args, **kwargs: P.kwargs) -> None:
        """Remove the result, if it is stored."""
        store.discard(self.name, self.key(*args, **kwargs))

    def _compute(self, store: Store, key: str, *args: P.args, **kwargs: P.kwargs) -> T:
        started = time.perf_counter()
        folder = store.scratch(self.name)
        try:
            with _told(store.root):
                value = self._with_provenance(self.work(folder, *args, **kwargs), key, args, kwargs)
                entry = store.root / "objects" / self.name / key
                (folder / VALUE).write_bytes(to_json(value, store.root, moved=(folder, entry)))
            found = store.publish(self.name, key, folder, time.perf_counter() - started)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return self._read(found, store)

    def _read(self, folder: Path, store: Store) -> T:
        kind = typing.get_type_hints(self.work)["return"]
        return typing.cast(T, from_json((folder / VALUE).read_bytes(), kind, store.root))

    def _with_provenance(self, value: T, key: str, args: tuple[object, ...], kwargs: Mapping[str, object]) -> T:
        if not (is_dataclass(value) and any(item.name == "provenance" for item in fields(value))):
            return value
        inputs = [*args, *kwargs.values()]
        provenance = Provenance(
            stage=self.name,
            key=key,
            settings=fingerprint(*inputs),
            parents=tuple(sorted({str(digest) for item in inputs if (digest := getattr(item, "digest", None))})),
            versions=self._versions(args, kwargs),
            machine=describe_machine().fingerprint if self.machine_bound else None,
        )
        return typing.cast(T, replace(value, provenance=provenance))  # type: ignore[type-var]

    def _versions(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> dict[str, str]:
        names = {name for item in _walk([args, kwargs]) for name in getattr(type(item), "packages", ())}
        return {name: _version(name) for name in sorted(names | {"fdpipe", "numpy"})}

    def _code(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> list[str]:
        modules = {type(item).__module__ for item in _walk([args, kwargs]) if is_dataclass(item)}
        return [_source_digest(name) for name in sorted(modules | {self.work.__module__})]


def stage(*, machine_bound: bool = False) -> Callable[[Callable[Concatenate[Path, P], T]], Stage[P, T]]:
    """Make a function a stage. Its first parameter is the folder to write in; it returns one dataclass of artifacts.

    The key is its code, its inputs' content, the versions of the packages that the workers among its inputs name and, if
    `machine_bound`, the machine. An exception is never remembered.
    """
    return lambda work: Stage(work, machine_bound=machine_bound)


def _is_whole(folder: Path) -> bool:
    """Whether the entry has exactly the files it was published with, unchanged."""
    try:
        wanted = json.loads((folder / FILES).read_text())
        there = {file.relative_to(folder).as_posix() for file in files_below(folder)} - {FILES}
        return there == set(wanted) and all(file_digest(folder / name) == digest for name, digest in wanted.items())
    except (OSError, ValueError, AttributeError):
        return False


def _sync(folder: Path) -> None:
    for path in [*files_below(folder), folder]:
        _sync_one(path)


def _sync_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _told(root: Path) -> Iterator[None]:
    """Turn what a full or read-only disk does into one line."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        raise StoreError(f"the store {root} cannot be written ({os.strerror(error.errno)}): {_CURE}") from error
    except sqlite3.OperationalError as error:
        raise StoreError(f"the store's index below {root} cannot be used ({error}): {_CURE}") from error


_CURE = "free some space, run `fdpipe prune`, or set FDPIPE_HOME"


def _walk(value: object) -> Iterator[object]:
    """The value and everything inside it: items, values, fields."""
    yield value
    inside: list[object] = []
    if is_dataclass(value) and not isinstance(value, type):
        inside = [getattr(value, item.name) for item in fields(value)]
    elif isinstance(value, Mapping):
        inside = list(value.values())
    elif isinstance(value, list | tuple):
        inside = list(value)
    for item in inside:
        yield from _walk(item)


@functools.cache
def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "none"


@functools.cache
def _source_digest(module: str) -> str:
    path = getattr(sys.modules.get(module), "__file__", None)
    return file_digest(Path(path)) if path else module
