"""A process that does nothing but fork runners: `python -m fdpipe.race.nursery SOCKET`.

It has imported what each of them needs and nothing of any library that runs models. So a runner starts in milliseconds, and
its memory is its own. It ends, and all runners with it, when the process that started it is gone.
"""

import os
import signal
import socket
import struct
import sys
import time
from multiprocessing.connection import Connection

from fdpipe import lifeline
from fdpipe.race import runner

FORK = struct.Struct("!i")
"""What is asked: 0 and a file descriptor beside it for a new runner, or the process whose end is to be waited for; and what
is answered: the process, or its exit status as os.waitstatus_to_exitcode says it, or `STAYED`."""
STAYED = 256
"""No exit status: the process had to be killed, since it did not end."""
ENDING_S = 5.0
"""How long a process may take to end by itself, and again when it was killed."""
POLL_S = 0.002


def main(control: socket.socket) -> None:
    """Fork, and wait for the ends of what was forked, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        message, files, _, _ = socket.recv_fds(control, FORK.size, 1)
        if len(message) < FORK.size:
            return
        (process,) = FORK.unpack(message)
        answer = _ended(process) if process else _fork(control, files[0])
        control.sendall(FORK.pack(answer))


def _fork(control: socket.socket, file: int) -> int:
    own = os.getpid()
    process = os.fork()
    if process:
        os.close(file)
        return process
    status = 1
    try:
        lifeline.die_with(own)
        control.close()
        connection, candidate = Connection(file), runner.Runner()  # both live on: what is left of a candidate may hang
        runner.serve(connection, candidate)
        status = 0
    finally:
        os._exit(status)  # nothing of the process that it was forked from is to be ended again


def _ended(process: int) -> int:
    """Its exit status. It is about to end; where it does not, it is killed. Not even then is it waited for without limit."""
    found = _within(process)
    if found is None:
        os.kill(process, signal.SIGKILL)
        _within(process)
        return STAYED
    return found


def _within(process: int) -> int | None:
    """The exit status of a process that ends within `ENDING_S`."""
    ends = time.monotonic() + ENDING_S
    while True:
        try:
            ended, status = os.waitpid(process, os.WNOHANG)
        except ChildProcessError:
            return 0
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > ends:
            return None
        time.sleep(POLL_S)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
