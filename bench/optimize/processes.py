"""A program's cost from its start to its end: seconds of the clock and of the processor, and memory of all its processes."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

INTERVAL_S = 0.01


@dataclass(frozen=True, kw_only=True)
class Cost:
    """`peak_mib` is the most that its processes held together, or one of them ever, whichever is more."""

    wall_s: float
    processor_s: float
    peak_mib: float


def cost(words: list[str], environment: Mapping[str, str], cwd: Path) -> Cost:
    """Run it; an error with the end of what it said where it fails."""
    started, before = time.perf_counter(), os.times()
    with subprocess.Popen(
        words, env=dict(environment), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        watch = Watch(process.pid)
        watch.start()
        said, _ = process.communicate()
        wall = time.perf_counter() - started
        watch.stop()
    after = os.times()
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)} exited with {process.returncode}:\n{said[-4000:]}")
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(wall_s=wall, processor_s=spent, peak_mib=watch.peak_kib / 1024)


class Watch(threading.Thread):
    """Looks at a process and its descendants again and again."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.peak_kib = pid, 0
        self._ended = threading.Event()

    def run(self) -> None:
        """Until it is stopped."""
        while not self._ended.wait(INTERVAL_S):
            sizes = [_sizes(pid) for pid in _tree(self.pid)]
            together = sum(now for now, _ in sizes)
            self.peak_kib = max(self.peak_kib, together, *(peak for _, peak in sizes), 0)

    def stop(self) -> None:
        """And wait for it."""
        self._ended.set()
        self.join()


def _sizes(pid: int) -> tuple[int, int]:
    """KiB resident now, and at most so far (VmHWM)."""
    found = {"VmRSS": 0, "VmHWM": 0}
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in found:
                found[name] = int(rest.split()[0])
    return found["VmRSS"], found["VmHWM"]


def _tree(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _tree(int(child))
