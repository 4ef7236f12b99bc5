"""Landlock (landlock(7)): what this process and its children may still read and write, for good."""

import ctypes
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from fdpipe.sandbox import kernel

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_PATH_BENEATH = 1

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_CHANGE_FOLDER = sum(1 << bit for bit in range(4, 13))  # remove and make files, folders, links, sockets, devices
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_SCOPES = 0b11  # no abstract sockets of others, no signals to others

READ = _READ_FILE | _READ_DIR
ON_A_FILE = _WRITE_FILE | _READ_FILE | _TRUNCATE

DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "kfd", "dri")


def version() -> int:
    """The kernel's version of Landlock; `OSError` where it has none."""
    return kernel.syscall("landlock", _CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))


def restrict(*, writable: Iterable[str], hidden: Iterable[str], readable: Iterable[str]) -> None:
    """Allow writing below `writable` and to plain devices only, and reading anywhere but below `hidden`, `readable` again
    excepted: of a folder among these that holds something hidden, the rest, and the names of all that is in it. `OSError`
    where the kernel cannot. Needs no_new_privs."""
    abi = version()
    write = _WRITE_FILE | _CHANGE_FOLDER | (_REFER if abi >= 2 else 0) | (_TRUNCATE if abi >= 3 else 0)
    ruleset = _ruleset(READ | write, _SCOPES if abi >= 6 else 0)
    try:
        kept = [os.path.realpath(one) for one in hidden]
        for path in _around(kept):
            _allow(ruleset, path, READ)
        for path, access in (rule for one in readable for rule in _rules(one, kept)):
            _allow(ruleset, path, access)
        for path in (*writable, *_devices()):
            _allow(ruleset, path, READ | write)
        kernel.syscall("landlock", _RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _ruleset(handled: int, scopes: int) -> int:
    """A new ruleset; the kernel takes attributes that it does not know if they are 0."""
    attributes = struct.pack("QQQ", handled, 0, scopes)
    used = attributes if scopes else attributes[:8]
    return kernel.syscall("landlock", _CREATE_RULESET, used, ctypes.c_size_t(len(used)), ctypes.c_uint32(0))


def _allow(ruleset: int, path: str, access: int) -> None:
    """What is not there needs no rule."""
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        granted = access if os.path.isdir(path) else access & ON_A_FILE  # noqa: PTH112 - strings throughout
        rule = struct.pack("=Qi", granted, handle)
        kernel.syscall("landlock", _ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0))
    finally:
        os.close(handle)


def _around(hidden: list[str], folder: str = "/") -> Iterator[str]:
    """Folders and files that together are everything but what is hidden; links need no rule, where they lead counts."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink() or entry.path in hidden:
                continue
            if any(one.startswith(f"{entry.path}/") for one in hidden):
                try:
                    yield from _around(hidden, entry.path)
                except OSError:
                    continue
            else:
                yield entry.path


def _rules(path: str, hidden: list[str]) -> Iterator[tuple[str, int]]:
    """What may be done below a readable path. A project is on the path of imports, which list it, and the state folder may
    lie in it."""
    real = os.path.realpath(path)
    below = [one for one in hidden if one.startswith(f"{real}/")]
    if not below or not os.path.isdir(real):  # noqa: PTH112 - strings throughout
        yield path, READ
        return
    yield real, _READ_DIR
    for part in _around(below, real):
        yield part, READ


def _devices() -> list[str]:
    """Devices that hold nothing, and those that compute."""
    return [*(f"/dev/{name}" for name in DEVICES), *map(str, Path("/dev").glob("nvidia*"))]
