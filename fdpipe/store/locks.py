"""Locks of the kernel's (flock(2)), which die with their holder."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path


def acquire(path: Path, waiting: Callable[[], None] | None = None) -> int:
    """An open handle that holds the file's lock until it is closed; `waiting` is called once if it is not free."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if waiting:
            waiting()
        fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def is_held(path: Path) -> bool:
    """Whether a living process holds the file's lock."""
    with path.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two that look must not see each other
        except BlockingIOError:
            return True
    return False
