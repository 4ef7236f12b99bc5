"""Python processes that die with the one that started them: `python -P lifeline.py PARENT_PID MODULE [ARGUMENT…]`.

The module runs in this process. If the parent dies, however it dies, the kernel kills this process and with it every
process that it forked (prctl(2), PR_SET_PDEATHSIG): nobody is left to answer, or to hold a port.
"""

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when `parent` dies; die at once where it is dead already."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def main(parent: int, module: str, arguments: list[str]) -> None:
    """Run the module here, bound to `parent`; every Python child that is forked is bound to this process."""
    die_with(parent)
    own = os.getpid()
    os.register_at_fork(after_in_child=lambda: die_with(own))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
