"""A candidate's process as the coordinator sees it: asked one thing at a time, and never waited for for ever."""

import atexit
import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from fdpipe.artifacts import Artifact
from fdpipe.errors import StageError
from fdpipe.interfaces import Runtime, Session
from fdpipe.race import nursery
from fdpipe.race.runner import Runner, Surroundings, Turn

ENDING_S = 10.0
"""How long a candidate may take to give back what it holds."""
NURSERY_S = 60.0
"""How long the nursery may take for an answer: it has to start, and to wait for a candidate's end."""


class Lost(Exception):
    """A candidate that cannot be measured any more, with the line that says why."""


class Lane:
    """A new process. Every question raises `Lost` where the answer is an error, the process dies, or `limit_s` is up: then
    the process is killed, and the others have lost nothing."""

    def __init__(self, surroundings: Surroundings, limit_s: float) -> None:
        self._surroundings, self._limit_s = surroundings, limit_s
        self._connection, self._process = _nursery(os.getpid()).fork(limit_s)

    def open(self, runtime: Runtime, artifact: Artifact, session: Session, first: Path) -> tuple[float, float]:
        """Milliseconds of the load and of the first call, in its surroundings."""
        self._ask(Runner.settle, self._surroundings)
        load_ms, first_call_ms = self._ask(Runner.open, runtime, artifact, session, first)
        return load_ms, first_call_ms

    def peak_mib(self, largest: Path) -> float:
        """The most memory that it had so far, after a call of the largest batch."""
        return float(self._ask(Runner.peak_mib, largest))

    def warm(self, batches: Path, calls: int, seconds: float, once: float) -> float:
        """A typical call's nanoseconds, once it is warm."""
        return float(self._ask(Runner.warm, batches, calls, seconds, once))

    def turn(self, batches: Path, start: int, calls: int, settling: bool) -> Turn:
        """Its turn."""
        turn: Turn = self._ask(Runner.turn, batches, start, calls, settling)
        return turn

    def work(self, batches: Path, seconds: float) -> int:
        """Calls for so long, which may be all of its limit: how many."""
        return int(self._ask(Runner.work, batches, seconds, more_s=seconds))

    def end(self) -> None:
        """Let it end, and make sure that it does."""
        if self._process:
            self._limit_s = min(self._limit_s, ENDING_S)
            with contextlib.suppress(Lost):
                self._ask(Runner.end)
                if self._connection.poll(ENDING_S):  # closed, by its end
                    self._bury()
            self.kill()

    def kill(self) -> None:
        """At once."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process, signal.SIGKILL)
            self._bury()

    def _ask(self, what: Any, *arguments: object, more_s: float = 0.0) -> Any:  # noqa: ANN401 - each method of a runner has its own
        limit_s = self._limit_s + more_s
        try:
            self._connection.send((what.__name__, *arguments))
            if not self._connection.poll(limit_s):
                raise BlockingIOError
            result, failure = self._connection.recv()
        except BlockingIOError as error:
            self.kill()
            raise Lost(f"it hung: no answer within {limit_s:g} s") from error
        except (EOFError, ConnectionError) as error:
            raise Lost(_words(self._bury())) from error
        if failure:
            raise Lost(failure)
        return result

    def _bury(self) -> int:
        process, self._process = self._process, 0
        self._connection.close()
        return _nursery(os.getpid()).ended(process)


def _words(status: int) -> str:
    if status == nursery.STAYED:
        return "it hung: its process answers no more, and did not end until it was killed"
    if status >= 0:
        return f"its process died: exit status {status}"
    with contextlib.suppress(ValueError):
        return f"its process died: {signal.Signals(-status).name}"
    return f"its process died: signal {-status}"


# --- the nursery ------------------------------------------------------------------------------------------------------


class _Nursery:
    """The process that forks the runners, started when the first is needed and kept until this process ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        self._control.settimeout(NURSERY_S)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", nursery.__name__, str(theirs.fileno())],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        atexit.register(self.close)

    def fork(self, limit_s: float) -> tuple[Connection, int]:
        """A new runner: what it is asked through, of which no part takes longer than the limit, and its process."""
        ours, theirs = socket.socketpair()
        limit = struct.pack("ll", int(limit_s), int(limit_s % 1 * 1e6) or 1)
        for way in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            ours.setsockopt(socket.SOL_SOCKET, way, limit)
        with theirs:
            process = self._ask(0, theirs.fileno())
        return Connection(ours.detach()), process

    def ended(self, process: int) -> int:
        """The exit status of a runner that has ended or is about to."""
        return self._ask(process)

    def close(self) -> None:
        """End it."""
        self._control.close()
        try:
            self._process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _ask(self, what: int, *files: int) -> int:
        with self._lock:
            try:
                socket.send_fds(self._control, [nursery.FORK.pack(what)], files)
                answer = self._control.recv(nursery.FORK.size, socket.MSG_WAITALL)
            except OSError:
                answer = b""
        if len(answer) < nursery.FORK.size:
            _nursery.cache_clear()  # the next benchmark has a new one
            self._process.kill()
            raise StageError("the process that starts a benchmark's candidates is gone; was it killed?")
        return int(nursery.FORK.unpack(answer)[0])


@cache
def _nursery(owner: int) -> _Nursery:
    """That of the process `owner`, which must be the caller: a fork of it needs one of its own."""
    return _Nursery()
