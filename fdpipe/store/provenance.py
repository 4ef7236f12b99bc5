"""Which code and which packages a result comes from: the part of a stage's key that its inputs do not say."""

import functools
import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

from fdpipe.artifacts import WorkerSpec
from fdpipe.content import file_digest


def versions(*values: object, beside: Iterable[str] = ()) -> dict[str, str]:
    """The installed version of fdpipe, of numpy, of every distribution that a worker among the values names, and of those
    `beside`."""
    named = {name for item in walk(values) for name in getattr(type(item), "packages", ())}
    return {name: _version(name) for name in sorted(named | {"fdpipe", "numpy"} | set(beside))}


def sources(module: str, *values: object) -> list[str]:
    """The digest of every source file that decides the result: `module`'s, those of the workers and artifacts among the
    values, and those that these import from their own package."""
    found: set[str] = set()
    for start in {module} | {name for item in walk(values) if (name := _home_of(item))}:
        _reach(start, found)
    return sorted(_digest(name) for name in found)


def walk(value: object) -> Iterator[object]:
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
        yield from walk(item)


def _home_of(item: object) -> str | None:
    """The module of a dataclass; of a worker as data, the module of the worker."""
    if isinstance(item, WorkerSpec):
        return str(item.settings["_target_"]).rpartition(".")[0]
    return type(item).__module__ if is_dataclass(item) else None


def _reach(module: str, found: set[str]) -> None:
    if module not in found:
        found.add(module)
        for other in _imported(module):
            _reach(other, found)


@functools.cache
def _imported(module: str) -> frozenset[str]:
    """The modules of the same package from which this one has a name."""
    package = module.partition(".")[0] + "."
    values = vars(importlib.import_module(module)).values()
    names = (item.__name__ if isinstance(item, ModuleType) else getattr(item, "__module__", None) for item in values)
    return frozenset(name for name in names if isinstance(name, str) and name.startswith(package))


@functools.cache
def _digest(module: str) -> str:
    path = getattr(importlib.import_module(module), "__file__", None)
    return file_digest(Path(path)) if path else module


@functools.cache
def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "none"
