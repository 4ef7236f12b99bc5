"""A process that does nothing but fork runners: `python -m fdpipe.race.nursery SOCKET`.

It has imported what each of them needs and nothing of any library that runs models. So a runner starts in milliseconds, and
its memory is its own. It ends, and all runners with it, when the process that started it is gone.
"""

import os
import signal
import socket
import struct
import sys
from multiprocessing.connection import Connection

from fdpipe import lifeline
from fdpipe.race import runner

FORK = struct.Struct("!i")
"""What is asked: 0 and a file descriptor beside it for a new runner, or the process whose end is to be waited for; and what
is answered: the process, or its exit status as os.waitstatus_to_exitcode says it."""


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
        runner.serve(Connection(file))
        status = 0
    finally:
        os._exit(status)  # nothing of the process that it was forked from is to be ended again


def _ended(process: int) -> int:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    except ChildProcessError:
        return 0


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
