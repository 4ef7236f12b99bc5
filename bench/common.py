"""What every benchmark shares: repeated runs of a command, medians, and a table."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PYTHON = sys.executable
FDPIPE = str(Path(sys.executable).with_name("fdpipe"))


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row: the median of `runs` runs in `unit`, and what it should stay below, where something is promised."""

    what: str
    value: float
    low: float
    high: float
    runs: int
    unit: str = "s"
    limit: float | None = None

    @property
    def holds(self) -> bool:
        """Whether it is within what is promised."""
        return self.limit is None or self.value < self.limit


def figure(what: str, values: Sequence[float], *, unit: str = "s", limit: float | None = None) -> Figure:
    """The median of the values, with the smallest and the largest."""
    middle = statistics.median(values)
    return Figure(what=what, value=middle, low=min(values), high=max(values), runs=len(values), unit=unit, limit=limit)


def seconds(work: Callable[[], object]) -> float:
    """How long the work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def command(*words: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Callable[[], object]:
    """A command as work; its failure is an error with what it said."""

    def work() -> None:
        done = subprocess.run(words, env=env, cwd=cwd, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")

    return work


def interleaved(works: Mapping[str, Callable[[], object]], runs: int) -> dict[str, list[float]]:
    """The seconds of each work, all of them in turn, so that a slow moment of the machine hits all alike."""
    for work in works.values():
        work()
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            taken[name].append(seconds(work))
    return taken


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table."""
    lines = ["| what | median | smallest – largest | runs | promised |", "|---|---:|---:|---:|---:|"]
    for item in figures:
        promised = "" if item.limit is None else f"< {item.limit:g} {item.unit}{'' if item.holds else ' ✗'}"
        spread = f"{item.low:.3g} – {item.high:.3g}"
        lines.append(f"| {item.what} | {item.value:.3g} {item.unit} | {spread} | {item.runs} | {promised} |")
    return "\n".join(lines)
