"""What a process gives up for good, it and all that it starts: files, sockets, capabilities."""

from collections.abc import Iterable

from fdpipe.sandbox import kernel, landlock, sockets


def confine(*, writable: Iterable[str], readable: Iterable[str], hidden: Iterable[str]) -> list[str]:
    """Leave only what may be written and read (see `landlock`) and its own network's sockets. What could not be had, in
    words; none where all is well."""
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    lacking = []
    try:
        landlock.restrict(writable=writable, readable=readable, hidden=hidden)
    except OSError as error:
        lacking.append(f"no Landlock ({error.strerror})")
    try:
        sockets.restrict()
    except OSError as error:
        lacking.append(f"no filter of system calls ({error.strerror})")
    kernel.drop_capabilities()
    return lacking
