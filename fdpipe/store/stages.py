"""`stage` makes a function remember its results, by everything they depend on."""

import functools
import inspect
import shutil
import time
import typing
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Concatenate, Generic, ParamSpec, TypeVar

from fdpipe import progress
from fdpipe.artifacts import Provenance
from fdpipe.content import fingerprint, from_json, to_json
from fdpipe.machine import describe_machine
from fdpipe.store import provenance
from fdpipe.store.folder import Store, writing

P = ParamSpec("P")


T = TypeVar("T")


VALUE = "value.json"


class Stage(Generic[P, T]):
    """A stage that remembers: called with a store, it looks its result up before it works."""

    def __init__(self, work: Callable[Concatenate[Path, P], T], *, machine_bound: bool, packages: tuple[str, ...]) -> None:
        functools.update_wrapper(self, work)
        self.work = work
        self.name = work.__name__
        self.machine_bound = machine_bound
        self.packages = packages

    def __call__(self, store: Store, *args: P.args, **kwargs: P.kwargs) -> T:
        with progress.step(self.name) as step:
            key = self.key(*args, **kwargs)
            value = self._stored(store, key)
            if value is None:
                with store.locked(self.name, key, lambda: step.emit("wait", "another run is computing this")):
                    value = self._stored(store, key)
                    if value is None:
                        return self._compute(store, key, *args, **kwargs)
            step.reused = True
            return value

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """What the result depends on, as a digest. The order of chosen workers belongs to it, that of a worker's settings does
        not (`fdpipe.content.fingerprint`)."""
        bound = inspect.signature(self.work).bind(Path(), *args, **kwargs)
        bound.apply_defaults()
        inputs = bound.arguments
        code = provenance.sources(self.work.__module__, inputs)
        return fingerprint(self.name, code, provenance.versions(inputs, beside=self.packages), self._machine(), inputs)

    def is_stored(self, store: Store, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Whether calling it now would reuse a result."""
        return self._stored(store, self.key(*args, **kwargs)) is not None

    def forget(self, store: Store, *args: P.args, **kwargs: P.kwargs) -> None:
        """Remove the result, if it is stored."""
        store.discard(self.name, self.key(*args, **kwargs))

    def _compute(self, store: Store, key: str, *args: P.args, **kwargs: P.kwargs) -> T:
        started = time.perf_counter()
        folder = store.scratch(self.name)
        try:
            with writing(store.root):
                value = self._with_provenance(self.work(folder, *args, **kwargs), key, [*args, *kwargs.values()])
                entry = store.root / "objects" / self.name / key
                (folder / VALUE).write_bytes(to_json(value, store.root, moved=(folder, entry)))
            found = store.publish(self.name, key, folder, time.perf_counter() - started)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return self._read(found, store)

    def _stored(self, store: Store, key: str) -> T | None:
        """The result; None where its entry, or another entry whose files it names, is missing or damaged."""
        folder = store.find(self.name, key)
        if folder is None:
            return None
        value = self._read(folder, store)
        paths = (item for item in provenance.walk(value) if isinstance(item, Path))
        owners = {path.relative_to(store.root / "objects").parts[:2] for path in paths} - {(self.name, key)}
        return value if all(store.find(owner, its_key) for owner, its_key in owners) else None

    def _read(self, folder: Path, store: Store) -> T:
        kind = typing.get_type_hints(self.work)["return"]
        return typing.cast(T, from_json((folder / VALUE).read_bytes(), kind, store.root))

    def _with_provenance(self, value: T, key: str, inputs: list[object]) -> T:
        if not (is_dataclass(value) and any(item.name == "provenance" for item in fields(value))):
            return value
        found = Provenance(
            stage=self.name,
            key=key,
            settings=fingerprint(*inputs),
            parents=tuple(sorted({str(digest) for item in inputs if (digest := getattr(item, "digest", None))})),
            versions=provenance.versions(inputs, beside=self.packages),
            machine=self._machine(),
        )
        return typing.cast(T, replace(value, provenance=found))  # type: ignore[type-var]

    def _machine(self) -> str | None:
        return describe_machine().fingerprint if self.machine_bound else None


def stage(
    *, machine_bound: bool = False, packages: tuple[str, ...] = ()
) -> Callable[[Callable[Concatenate[Path, P], T]], Stage[P, T]]:
    """Make a function a stage. Its first parameter is the folder to write in; it returns one dataclass of artifacts.

    The key is its code, its inputs' content, the versions of the packages that the workers among its inputs name and of its
    own `packages` and, if `machine_bound`, the machine. An exception is never remembered.
    """
    return lambda work: Stage(work, machine_bound=machine_bound, packages=packages)
