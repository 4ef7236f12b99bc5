"""A runtime that chooses by the number of rows in a call: each of its parts is opened by a runtime of its own."""

from bisect import bisect_right
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from fdpipe import parts, workers
from fdpipe.arrays import Batch
from fdpipe.artifacts import Artifact
from fdpipe.errors import StageError
from fdpipe.interfaces import Engine, Runtime, Session
from fdpipe.parts import PartSpec


@dataclass(frozen=True, kw_only=True)
class ByRows:
    """No settings of its own. Its session's `threads` is for the parts whose own sessions do not say how many."""

    packages: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[tuple[str, ...]] = (parts.KIND,)

    def check(self) -> None:
        """Nothing: whether the parts' own libraries are here is found when they are opened."""

    def absent(self) -> str | None:
        """None: what it opens, it runs."""
        return None

    def sessions(self) -> tuple[Session, ...]:
        """One: the parts have their own."""
        return ({},)

    def ready(self, model: Artifact, folder: Path) -> Artifact:
        """The same artifact: its parts are ready."""
        return model

    def open(self, artifact: Artifact, session: Session) -> Engine:
        """Open each part, equal ones once; `StageError` for an unknown setting, for files that do not say what the parts are,
        and for what a part's own runtime cannot open."""
        if unknown := sorted(set(session) - {"threads"}):
            raise StageError(f"by_rows knows no session setting {unknown[0]!r}: it has threads")
        if artifact.kind not in self.kinds:
            raise StageError(f"by_rows opens {parts.KIND}, not {artifact.kind}: {artifact.path.name}")
        found = parts.read(artifact.path).parts
        opened: list[tuple[PartSpec, Engine]] = []
        with ExitStack() as failed:
            engines = []
            for part in found:
                engine = next((one for other, one in opened if _opens_the_same(part, other)), None)
                if engine is None:
                    engine = _open(part, session)
                    failed.callback(engine.close)
                    opened.append((part, engine))
                engines.append(engine)
            failed.pop_all()
        return ByRowsEngine([part.rows for part in found], engines)


class ByRowsEngine:
    """The parts' engines, one for each number of rows; any number of threads may ask them."""

    def __init__(self, rows: Sequence[int], engines: Sequence[Engine]) -> None:
        self._upper = list(rows[1:])
        self._engines = list(engines)
        self._runs = [engine.run for engine in engines]

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        """What the part for so many rows answers; no rows are the first part's. Choosing takes a fraction of a microsecond,
        which shows in a call of ten."""
        rows = 0
        for array in batch.values():
            rows = len(array) if array.ndim else 0
            break
        return self._runs[bisect_right(self._upper, rows)](batch)

    def close(self) -> None:
        """Close every part."""
        with ExitStack() as closing:
            for engine in self._engines:
                closing.callback(engine.close)


def _opens_the_same(one: PartSpec, other: PartSpec) -> bool:
    return (one.runtime, one.session, one.artifact) == (other.runtime, other.session, other.artifact)


def _open(part: PartSpec, session: Session) -> Engine:
    runtime: Runtime = workers.build_spec(part.runtime)
    return runtime.open(part.artifact, {**session, **part.session})
