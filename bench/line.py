"""The line with fake workers, directly and through Prefect."""

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, cast

from bench.common import PYTHON, Figure, figure, seconds
from fdpipe import progress
from fdpipe.home import settle_environment
from fdpipe.pipeline import run
from fdpipe.testing.rehearsal import Rehearsal, fake_plan

P = ParamSpec("P")
T = TypeVar("T")


def measure() -> list[Figure]:
    """Each process has a state folder of its own."""
    from tests.standing_server import standing_server

    first = [one["direct"][0] for one in (_child("direct", 1) for _ in range(5))]
    again = _child("direct", 21)
    temporary = [_child("prefect", 4)["prefect"] for _ in range(3)]
    standing = [_child("prefect", 4, PREFECT_API_URL=standing_server())["prefect"] for _ in range(3)]
    return [
        figure("directly, everything computed", first),
        figure("directly, everything reused", again["direct"][1:]),
        figure("of that, one stage", again["stages_ms"], unit="ms", limit=1.0),
        figure("Prefect, temporary server: a process's first line", [one[0] for one in temporary]),
        figure("Prefect, temporary server: a later line, reused", [value for one in temporary for value in one[1:]]),
        figure("Prefect, standing server: a process's first line", [one[0] for one in standing]),
        figure("Prefect, standing server: a later line, reused", [value for one in standing for value in one[1:]]),
    ]


def _child(way: str, runs: int, **environment: str) -> dict[str, list[float]]:
    """What a process of its own measured."""
    with tempfile.TemporaryDirectory() as folder:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_", "BENTOML_"))
        }
        command = [PYTHON, "-m", "bench.line", way, str(runs)]
        done = subprocess.run(
            command, env=inherited | {"FDPIPE_HOME": folder} | environment, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(way: str, runs: int) -> dict[str, list[float]]:
    """Run the line so often, and say how long each run and each reused stage took."""
    settle_environment()
    work = _through_prefect() if way == "prefect" else _directly
    with _stages_ms() as stages:
        return {way: [seconds(work) for _ in range(runs)], "stages_ms": stages}


def _directly() -> None:
    run(fake_plan(), call=Rehearsal())


def _through_prefect() -> Callable[[], object]:
    from prefect import flow

    from fdpipe.orchestrate.tasks import as_task

    def call(step: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return cast(T, as_task(_Rehearsed(step), *args, **kwargs))

    @flow(name="fake", persist_result=False)
    def line() -> None:
        run(fake_plan(), call=call)

    return line


@dataclass
class _Rehearsed:
    """A step under its own name, played where it is packaging or proving."""

    step: Callable[..., Any]

    @property
    def name(self) -> str:
        return progress.name_of(self.step)

    def __call__(self, *args: object) -> Any:  # noqa: ANN401 - whatever the step gives
        return Rehearsal()(self.step, *args)


@contextmanager
def _stages_ms() -> Iterator[list[float]]:
    """The milliseconds of each stage that was reused; trials, which hold stages, do not count."""
    handler = _Reused()
    progress.log.setLevel(logging.INFO)
    progress.log.addHandler(handler)
    yield handler.found
    progress.log.removeHandler(handler)


class _Reused(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[float] = []

    def emit(self, record: logging.LogRecord) -> None:
        event: progress.Event = record.event  # type: ignore[attr-defined]
        if event.kind == "reused" and not event.step.startswith("trial "):
            self.found.append((event.seconds or 0.0) * 1000)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
