"""`python -P -m fdpipe.sandbox.keeper SETTINGS`: run a module's `main(socket, missing)` where it can do no harm.

Three processes. The keeper, which the parent starts, ends when the parent does, however that dies. The first process of
a new process namespace bounds the memory of all in it; when it ends, the kernel ends them. The worker runs the module.
The keeper's exit code is the worker's, or 128 + the signal that killed it, or `OUT_OF_MEMORY`.
"""

import contextlib
import importlib
import json
import os
import resource
import select
import signal
import sys
from typing import Any

from fdpipe.sandbox import OUT_OF_MEMORY, Settings, confinement, kernel, namespaces

OPEN_FILES = 4096
LOOK_S = 0.25
"""How often the tree's memory is looked at."""

HELD = ("RssAnon:", "RssShmem:")
"""The kernel's names, in KiB, for memory that is no file's."""


def keep(settings: Settings) -> int:
    """The keeper: the exit code of what it kept."""
    parent = _pidfd(settings.parent)
    if parent is None or os.getppid() != settings.parent:
        return 0
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    missing = namespaces.enter()
    own = os.pidfd_open(os.getpid())
    first = os.fork()
    if first == 0:
        return _first(settings, own, missing)
    os.close(settings.socket)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(first, signal.SIGKILL))
    waiting = select.poll()
    for handle in (parent, os.pidfd_open(first)):
        waiting.register(handle, select.POLLIN)
    if any(handle == parent for handle, _ in waiting.poll()):
        os.kill(first, signal.SIGKILL)
    code = _code(os.waitpid(first, 0)[1])
    _end_all()
    return code


def _first(settings: Settings, keeper: int, missing: list[str]) -> int:
    """The first process of the namespace: it waits for the worker, and for whatever is left to it."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if select.select([keeper], [], [], 0)[0]:
        return 0  # it has died meanwhile
    furnished = [] if missing else namespaces.furnish()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    worker = os.fork()
    if worker == 0:
        return _work(settings, furnished, missing)
    os.close(settings.socket)
    while True:
        signal.sigtimedwait([signal.SIGCHLD], LOOK_S)
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == worker:
                    return _code(ended[1])
        if _memory_of_tree() > settings.memory_bytes:
            os.kill(worker, signal.SIGKILL)
            return OUT_OF_MEMORY


def _work(settings: Settings, furnished: list[str], missing: list[str]) -> int:
    """The worker: confined, it runs the module."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    os.closerange(3, settings.socket)
    os.closerange(settings.socket + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    _limit(resource.RLIMIT_FSIZE, settings.file_bytes)
    _limit(resource.RLIMIT_DATA, settings.memory_bytes)
    _limit(resource.RLIMIT_CORE, 0)
    writable = (*settings.writable, *furnished, *_measured())
    lacking = confinement.confine(writable=writable, readable=settings.readable, hidden=settings.hidden)
    if settings.environment:
        _enter(settings.environment)
    module: Any = importlib.import_module(settings.module)
    module.main(settings.socket, [*missing, *lacking])
    return 0


def _enter(python: str) -> None:
    """Become the Python of another environment, now that its packages can do no harm: they may have files that run at the
    start, and anything in the place of the environment's own program."""
    import site

    sys.executable = python
    site.main()


def _limit(what: int, most: int) -> None:
    """Lower a limit, or leave it where it is lower already."""
    hard = resource.getrlimit(what)[1]
    value = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (value, value))


def _measured() -> list[str]:
    """Where coverage writes what it found, when fdpipe's own tests measure this process."""
    coverage = sys.modules.get("coverage")
    current = coverage.Coverage.current() if coverage else None
    return [os.path.dirname(current.get_data().data_filename())] if current else []  # noqa: PTH120 - strings throughout


def _memory_of_tree() -> int:
    """The bytes that this process's descendants hold, those of files excepted; what several share counts for each. In a /proc
    of another namespace, this process has another number."""
    below = {os.readlink("/proc/self")}  # noqa: PTH115 - strings throughout
    parents = dict(_parents())
    total = 0
    while found := [pid for pid, parent in parents.items() if parent in below]:
        for pid in found:
            del parents[pid]
            with contextlib.suppress(OSError), open(f"/proc/{pid}/status") as stream:  # noqa: PTH123
                total += sum(int(line.split()[1]) for line in stream if line.startswith(HELD)) * 1024
        below = set(found)
    return total


def _parents() -> list[tuple[str, str]]:
    """Every process in sight with the one that started it."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - strings throughout
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as stream:  # noqa: PTH123
            found.append((pid, stream.read().rpartition(")")[2].split()[1]))
    return found


def _end_all() -> None:
    """Without a namespace of their own, whoever has lost its parent has become this process's child."""
    with contextlib.suppress(ChildProcessError):
        while True:
            own = str(os.getpid())
            for pid in [pid for pid, parent in _parents() if parent == own]:
                os.kill(int(pid), signal.SIGKILL)
            os.waitpid(-1, 0)


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    sys.exit(keep(Settings(**given)))
