"""Namespaces of one's own (namespaces(7)): no network, no other processes in sight, a private /proc and /dev/shm."""

import contextlib
import errno
import fcntl
import os
import socket
import struct
from pathlib import Path

from fdpipe.sandbox import kernel

SHM = "/dev/shm"
SHM_BYTES = 2**30

_WHY = {errno.EPERM: "it is not permitted here", errno.ENOSPC: "see user.max_user_namespaces"}

_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1


def enter() -> list[str]:
    """Leave the network, and have all later children in one process namespace, which ends as a whole. What could not be
    had, in words; none where all is well. The process must have one thread."""
    user, group = os.getuid(), os.getgid()
    try:
        kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNET | kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    except OSError as error:
        return [f"no network namespace ({_WHY.get(error.errno or 0, error.strerror)})"]
    _raise_loopback()
    return []


def _raise_loopback() -> None:
    """Some libraries talk to themselves, as Spark does; it is a loopback of this namespace only."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))


def furnish() -> list[str]:
    """The first process of the namespace: a /proc that shows it only, and a /dev/shm that nobody shares. The folders that
    may be written; none where a container forbids mounts, which takes nothing from safety."""
    try:
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
        kernel.mount("tmpfs", SHM, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC, f"size={SHM_BYTES}")
    except OSError:
        return []
    with contextlib.suppress(OSError):  # a container that masks parts of /proc allows no other
        kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    return [SHM]
