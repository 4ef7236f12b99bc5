"""A filter on system calls (seccomp(2)): no sockets but those of the namespace's own network.

Sockets in files, as a container engine's or an agent's, belong to no network namespace, and Landlock does not know them.
"""

import ctypes
import errno
import os
import socket
import struct

from fdpipe.sandbox import kernel

ALLOWED = (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)

_ARCHITECTURES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""The kernel's number of each, and of its system call socket(2)."""

_IO_URING_SETUP = 425
_OTHER_ABI = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2


def restrict() -> None:
    """Allow no other sockets, for good; `OSError` where it cannot be had. Needs no_new_privs. Pairs of sockets between a
    process and its children are none of these."""
    if os.uname().machine not in _ARCHITECTURES:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    code = _program(*_ARCHITECTURES[os.uname().machine])
    instructions = ctypes.create_string_buffer(code)
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(instructions)))
    kernel.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(program))


def _program(architecture: int, socket_call: int) -> bytes:
    """The filter, in the kernel's instructions: code, where to go if so, where if not (both relative), and a value."""
    families = [(_EQUAL, len(ALLOWED) - place, 0, int(family)) for place, family in enumerate(ALLOWED)]
    after = len(families) + 2  # from the comparison with socket(2) to ALLOW
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, after + 6, architecture),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, after + 4, 0, _OTHER_ABI),
        (_EQUAL, after + 2, 0, _IO_URING_SETUP),
        (_EQUAL, 0, after, socket_call),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        *families,
        (_RETURN, 0, 0, _FAIL | errno.EAFNOSUPPORT),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),
        (_RETURN, 0, 0, _FAIL | errno.EPERM),
    ]
    return b"".join(struct.pack("HBBI", *line) for line in lines)
