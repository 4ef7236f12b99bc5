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

PAIRS = (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)
"""The pairs of sockets that a process may have: what is connected stays so. Those of datagrams send to any other in a file."""

_ARCHITECTURES = {"x86_64": (0xC000003E, 41, 53), "aarch64": (0xC00000B7, 198, 199)}
"""The kernel's number of each, and of its system calls socket(2) and socketpair(2)."""

_IO_URING_SETUP = 425
_OTHER_ABI = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24
_KIND = 0xF
"""The part of a socket's type that is no flag."""

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


def _program(architecture: int, socket_call: int, pair_call: int) -> bytes:
    """The filter, in the kernel's instructions: a place's name, code, where to go if so, where if not, and a value."""
    lines: list[tuple[str, int, str, str, int]] = [
        ("", _LOAD, "", "", _ARCHITECTURE),
        ("", _EQUAL, "", "forbid", architecture),
        ("", _LOAD, "", "", _NUMBER),
        ("", _AT_LEAST, "forbid", "", _OTHER_ABI),
        ("", _EQUAL, "lack", "", _IO_URING_SETUP),
        ("", _EQUAL, "pair", "", pair_call),
        ("", _EQUAL, "", "allow", socket_call),
        ("", _LOAD, "", "", _FIRST_ARGUMENT),
        *(("", _EQUAL, "allow", "", int(family)) for family in ALLOWED),
        ("", _RETURN, "", "", _FAIL | errno.EAFNOSUPPORT),
        ("pair", _LOAD, "", "", _SECOND_ARGUMENT),
        ("", _AND, "", "", _KIND),
        *(("", _EQUAL, "allow", "", int(kind)) for kind in PAIRS),
        ("", _RETURN, "", "", _FAIL | errno.EAFNOSUPPORT),
        ("allow", _RETURN, "", "", _ALLOW),
        ("lack", _RETURN, "", "", _FAIL | errno.ENOSYS),
        ("forbid", _RETURN, "", "", _FAIL | errno.EPERM),
    ]
    places = {line[0]: number for number, line in enumerate(lines)}

    def steps(number: int, name: str) -> int:
        return places[name] - number - 1 if name else 0

    return b"".join(
        struct.pack("HBBI", code, steps(number, yes), steps(number, no), value)
        for number, (_, code, yes, no, value) in enumerate(lines)
    )
