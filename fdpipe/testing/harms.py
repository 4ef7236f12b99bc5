"""What a model may do to the process that opens it: each harm is tried for real, against the target that it is given."""

import builtins
import ctypes
import mmap
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from fdpipe import errors

BLOCK_BYTES = 32 * 2**20


def crash(_: str) -> None:
    """Read address 0."""
    ctypes.string_at(0)


def abort(text: str) -> NoReturn:
    """As a C++ library whose exception nobody catches."""
    os.write(2, f"{text}\n".encode())
    os.abort()


def leave(code: str) -> NoReturn:
    """Exit at once."""
    os._exit(int(code))


def hang(_: str) -> None:
    """Never come back from a system call."""
    time.sleep(10_000)


def hold(_: str) -> None:
    """Never come back from a C function that holds the interpreter's lock."""
    re.match(r"(a+)+$", "a" * 64 + "b")


def eat(_: str) -> None:
    """Take all memory."""
    held = []
    while True:
        held.append(bytearray(b"x") * BLOCK_BYTES)


def eat_together(count: str) -> None:
    """Take memory in several processes, none of which has very much."""
    for _ in range(int(count)):
        subprocess.Popen([sys.executable, "-S", "-c", f"held = b'x' * {4 * BLOCK_BYTES}; import time; time.sleep(600)"])
    time.sleep(600)


def eat_shared(_: str) -> None:
    """Take all memory, such as could be shared with other processes."""
    held = []
    while True:
        held.append(mmap.mmap(-1, BLOCK_BYTES))
        held[-1].write(b"x" * BLOCK_BYTES)


def write(path: str) -> None:
    """Write a file."""
    Path(path).write_text("harm")


def write_much(name: str) -> None:
    """Write a file of 64 MiB in the own folder."""
    Path.home().joinpath(name).write_bytes(bytes(2 * BLOCK_BYTES))


def plant(target: str) -> None:
    """A link to the target beside what is exported."""
    (Path.home().parent / "exports" / "1" / "planted").symlink_to(target)


def remove(path: str) -> None:
    """Remove a file."""
    Path(path).unlink()


def read(path: str) -> str:
    """Read a file."""
    return Path(path).read_text()


def connect(address: str) -> None:
    """Connect to `host:port`, or to a socket in a file."""
    if address.startswith("/"):
        with socket.socket(socket.AF_UNIX) as stream:
            stream.connect(address)
    else:
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), timeout=5).close()


def send(address: str) -> None:
    """Send a datagram."""
    host, _, port = address.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        any_socket.sendto(b"harm", (host, int(port)))


def send_to_file(path: str) -> None:
    """Send a datagram to a socket in a file, from one of a pair, which is no new socket."""
    with socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0] as one:
        one.sendto(b"harm", path)


def leave_behind(word: str) -> None:
    """A grandchild in a session of its own, with the word among its arguments, that nobody waits for."""
    script = (
        "import subprocess, sys; subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)', sys.argv[1]])"
    )
    subprocess.run([sys.executable, "-S", "-c", script, word], start_new_session=True, check=True)


def signal_to(pid: str) -> None:
    """End a process."""
    os.kill(int(pid), signal.SIGTERM)


def say(text: str) -> None:
    """Print, in Python and below it."""
    sys.stdout.write(f"{text}\n")
    os.write(1, f"{text}\n".encode())
    os.write(2, f"{text}\n".encode())


def interrupt(text: str) -> None:
    """Write into every socket and pipe that is open."""
    for number in range(3, 64):
        try:
            os.write(number, text.encode())
        except OSError:
            continue


def throw(kind: str) -> NoReturn:
    """Raise one of fdpipe's errors or a built-in one."""
    raise (getattr(errors, kind, None) or getattr(builtins, kind))(f"a {kind} of two lines\nof which this is the second")


def environment(_: str) -> str:
    """The names of all variables."""
    return " ".join(sorted(os.environ))


def open_many(count: str) -> None:
    """Open so many files."""
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(int(count))]
    for handle in held:
        os.close(handle)


def mount(path: str) -> None:
    """Put something else in a folder's place."""
    if ctypes.CDLL(None, use_errno=True).mount(b"none", path.encode(), b"tmpfs", ctypes.c_ulong(0), None):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


HARMS: Mapping[str, Callable[[str], str | None]] = {
    harm.__name__: harm
    for harm in (
        crash, abort, leave, hang, hold, eat, eat_together, eat_shared, write, write_much, plant, remove, read, connect, send,
        send_to_file, leave_behind, signal_to, say, interrupt, throw, environment, open_many, mount,
    )
}  # fmt: skip
