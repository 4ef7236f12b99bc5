"""Whom a text is for: the user's own two streams, kept apart from what libraries write to theirs."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

LIMIT_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Streams:
    """Where results go (`out`) and where everything said on the way goes (`err`)."""

    out: TextIO
    err: TextIO

    def flush(self) -> None:
        """Write what is buffered; a reader that has gone away is no error."""
        for stream in (self.out, self.err):
            try:
                stream.flush()
            except BrokenPipeError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def shared() -> Streams:
    """The process's streams as they are."""
    return Streams(sys.stdout, sys.stderr)


def set_apart(log: Path) -> Streams:
    """The user's streams; from now on whatever else writes to the process's streams, in Python, in C or in a child
    process, writes to the end of `log`."""
    sys.stdout.flush()
    sys.stderr.flush()
    apart = Streams(*(os.fdopen(os.dup(number), "w", buffering=1, encoding="utf-8", errors="replace") for number in (1, 2)))
    old = log.exists() and log.stat().st_size > LIMIT_BYTES
    with log.open("w" if old else "a") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    return apart
