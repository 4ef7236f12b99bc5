"""What may be wrong with files from a registry, seen before anything opens them: links that lead away, files that are none,
archives that unpack to far more than they are or to somewhere else."""

import stat
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from fdpipe.errors import SourceError

MOST_BYTES = 2**28
MOST_RATIO = 200
MOST_MEMBERS = 100_000
DEEPEST = 50
"""An archive of more members, or one that unpacks to more bytes than both `MOST_BYTES` and `MOST_RATIO` times its own size, is
a bomb: weights, which are what is large in a model, are hardly smaller when packed."""


def refuse_links(folder: Path) -> None:
    """`SourceError` for a link that leaves the folder, for a link to a folder, for a file that is also elsewhere by a hard
    link, and for whatever is neither file nor folder: a pipe would hang who reads it."""
    root = folder.resolve()
    names: Counter[tuple[int, int]] = Counter()
    files: dict[Path, int] = {}
    for path in _below(folder):
        found = path.lstat()
        shown = _shown(path, folder)
        if stat.S_ISLNK(found.st_mode):
            if path.is_dir() or not path.resolve().is_relative_to(root):
                raise SourceError(f"the model's file {shown} is a link that leaves its folder: refused")
        elif stat.S_ISREG(found.st_mode):
            names[found.st_dev, found.st_ino] += 1
            files[path] = found.st_nlink
        elif not stat.S_ISDIR(found.st_mode):
            raise SourceError(f"the model's file {shown} is no regular file: refused")
    for path, count in files.items():
        found = path.lstat()
        if count > names[found.st_dev, found.st_ino]:
            raise SourceError(f"the model's file {_shown(path, folder)} is a hard link to one outside its folder: refused")


def refuse_archives(folder: Path) -> None:
    """`SourceError` for a zip archive (as are .skops, .keras, .pt2 and .npz files) that is a bomb, is broken, or names members
    outside itself."""
    for path in _below(folder):
        if path.is_file() and _is_zip(path):
            _refuse_archive(path, _shown(path, folder))


def _refuse_archive(path: Path, shown: str) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise SourceError(f"the model's archive {shown} cannot be read: {error}") from error
    size = sum(member.file_size for member in members)
    if len(members) > MOST_MEMBERS:
        raise SourceError(f"the model's archive {shown} has {len(members):,} members, {MOST_MEMBERS:,} are allowed")
    if size > max(MOST_BYTES, MOST_RATIO * path.stat().st_size):
        raise SourceError(f"the model's archive {shown} unpacks to {size / 2**20:,.0f} MiB, far more than it is: refused")
    for member in members:
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or stat.S_ISLNK(member.external_attr >> 16):
            raise SourceError(
                f"the model's archive {shown} has the member {member.filename[:80]!r}, which leads outside: refused"
            )


def _shown(path: Path, folder: Path) -> str:
    """Its name in the folder, in one line whatever it is called."""
    name = str(path.relative_to(folder))
    return name if name.isprintable() else ascii(name)


def _is_zip(path: Path) -> bool:
    """By how it begins, or by how it ends: that is what counts for who opens one."""
    with path.open("rb") as stream:
        return stream.read(4) in (b"PK\x03\x04", b"PK\x05\x06") or zipfile.is_zipfile(stream)


def _below(folder: Path, depth: int = DEEPEST) -> Iterator[Path]:
    """Everything below it, links not followed; `SourceError` where folders lie in each other without end."""
    if not depth:
        raise SourceError(f"the model's folders lie in each other more than {DEEPEST} deep: refused")
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _below(path, depth - 1)
