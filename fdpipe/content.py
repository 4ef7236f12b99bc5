"""What identifies a value, and how it is written: digests of files and of meaning, JSON with paths below a root."""

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def file_digest(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tree_digest(path: Path) -> str:
    """The sha256 over the relative names and contents of every file below `path`, or of the file itself."""
    if path.is_file():
        return file_digest(path)
    lines = (f"{file_digest(file)}  {file.relative_to(path).as_posix()}\n" for file in files_below(path))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def files_below(path: Path) -> list[Path]:
    """Every file below a folder, in a fixed order."""
    return sorted(file for file in path.rglob("*") if file.is_file())


def fingerprint(*values: object) -> str:
    """The sha256 of the values' meaning: a path is left out where a digest beside it stands for the content.

    The order of a mapping counts where its values are dataclasses, as that of metrics, checks or recipes: a user wrote it, and
    the first of them may be the one that decides. The settings of one worker, a session and the like have no order.
    """
    return hashlib.sha256(msgspec.json.encode([plain(value) for value in values], order="deterministic")).hexdigest()


def plain(value: object) -> Any:  # noqa: ANN401 - JSON has no narrower type
    """`value` as JSON-safe data; a dataclass may answer for itself with `plain()`. Paths are left out, but those of a
    dataclass that has no `digest`, as a worker's setting, count by their name. A mapping of dataclasses becomes pairs."""
    if isinstance(value, Path):
        return None
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        own = getattr(value, "plain", None)
        if own is not None:
            return own()
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        values = {item.name: getattr(value, item.name) for item in fields(value)}
        if "digest" not in values:
            values = {name: str(item) if isinstance(item, Path) else item for name, item in values.items()}
        return {"": kind} | {name: plain(item) for name, item in values.items()}
    if isinstance(value, Mapping):
        ordered = bool(value) and all(is_dataclass(item) for item in value.values())
        pairs = [(str(key), plain(item)) for key, item in value.items()]
        return pairs if ordered else dict(pairs)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def to_json(value: object, root: Path, *, moved: tuple[Path, Path] | None = None) -> bytes:
    """An artifact as JSON; its paths lie below `root` and are written relative to it. `moved` is (folder, its later name)."""

    def encode(item: object) -> str:
        if isinstance(item, Path):
            if moved is not None and item.is_relative_to(moved[0]):
                item = moved[1] / item.relative_to(moved[0])
            return item.relative_to(root).as_posix()
        raise TypeError(f"{type(item).__name__} cannot be written as JSON")

    return msgspec.json.format(msgspec.json.encode(value, enc_hook=encode), indent=1)


def from_json(data: bytes, kind: type[T], root: Path) -> T:
    """The artifact that `to_json` wrote, its paths below `root`; `ValueError` for anything else, a path that leaves it too."""

    def decode(wanted: type, item: object) -> Path:
        if wanted is Path and isinstance(item, str):
            place = PurePosixPath(item)
            if place.is_absolute() or ".." in place.parts:
                raise ValueError(f"the path {item!r} leads out of the folder")
            return root / item
        raise TypeError(f"{wanted.__name__} cannot be read from JSON")

    return msgspec.json.decode(data, type=kind, dec_hook=decode)
