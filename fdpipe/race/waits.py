"""What took the cores away from a candidate while it was timed: others, or its own threads."""

import contextlib
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TAKEN = 0.05
"""A turn is disturbed where others took a core from one of its threads for more than so much of it: less does not move the
median of its calls."""


@dataclass(frozen=True, kw_only=True)
class Waits:
    """So far: by thread the nanoseconds that it ran and those that it was ready to run and waited for a core; and where the
    kernel does not tell them, how often it took a core away from this process."""

    ran_ns: Mapping[int, int]
    waited_ns: Mapping[int, int]
    pushed_off: int


def waits(root: Path = Path("/proc/self/task")) -> Waits:
    """Of this process (Documentation/scheduler/sched-stats.rst in the kernel's sources, `/proc/<pid>/schedstat`)."""
    ran: dict[int, int] = {}
    waited: dict[int, int] = {}
    for thread in root.iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            ran[int(thread.name)], waited[int(thread.name)] = map(int, (thread / "schedstat").read_text().split()[:2])
    return Waits(ran_ns=ran, waited_ns=waited, pushed_off=resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw)


def taken_ns(before: Waits, after: Waits, passed_ns: int) -> int:
    """At least so many nanoseconds of `passed_ns` did others take a core from one thread of this process.

    A candidate with several threads also waits for itself: the kernel often puts a thread that it wakes on the core of the
    one that woke it, and they push each other off. That is how the candidate is, in a service too, and to leave out such
    blocks would choose those in which its threads happened to lie apart. But a thread can have waited for its own process
    at most as long as the other threads of this process ran; what it waited beyond that, others took. Of a single thread
    that is all its waiting; of many it is little, then their medians bear what remains. A wait is told when it ends, so it
    may have begun before: no more than `passed_ns` counts. Where the kernel tells no waits, each switch that the candidate
    did not ask for counts as all of the time.
    """
    threads = [thread for thread in after.ran_ns if thread in before.ran_ns]
    if not threads:
        return passed_ns if after.pushed_off > before.pushed_off else 0
    ran = {thread: after.ran_ns[thread] - before.ran_ns[thread] for thread in threads}
    whole = sum(ran.values())
    waited = (min(after.waited_ns[one] - before.waited_ns[one], passed_ns) - (whole - ran[one]) for one in threads)
    return max(0, *waited)
