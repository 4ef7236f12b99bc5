"""The system calls that Python's standard library does not offer, through libc; each raises `OSError`."""

import ctypes
import os
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 2, 4, 8, 0x4000, 0x40000

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38

_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def checked(found: int, what: str) -> int:
    """The result of a call, or its `OSError`."""
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return found


def syscall(what: str, number: int, *arguments: object) -> int:
    """A system call by its number."""
    return checked(_libc.syscall(number, *arguments), what)


def unshare(flags: int) -> None:
    """unshare(2)."""
    checked(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """mount(2)."""
    texts = [None if text is None else text.encode() for text in (source, target, kind, data)]
    checked(_libc.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3]), f"mount {target}")


def prctl(option: int, value: int, address: int = 0) -> None:
    """prctl(2)."""
    checked(_libc.prctl(option, *(ctypes.c_ulong(word) for word in (value, address, 0, 0))), "prctl")


def drop_capabilities() -> None:
    """Give up every capability, for good."""
    header, none = struct.pack("Ii", _CAPABILITY_VERSION_3, 0), struct.pack("6I", *[0] * 6)
    checked(_libc.capset(header, none), "capset")
