"""A process that can do no harm: no network, nothing written but where it may, limits, and nobody left behind.

Standard library only: it runs in whichever environment the model needs, before anything of the model is read.
"""

from dataclasses import dataclass

OUT_OF_MEMORY = 250
"""The exit code of a sandbox whose processes together took more than they may."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the sandbox is started with. `socket` is an open file descriptor; below `hidden` nothing can be read but
    what is `readable` or `writable` there."""

    parent: int
    module: str
    socket: int
    memory_bytes: int
    file_bytes: int
    writable: tuple[str, ...]
    readable: tuple[str, ...]
    hidden: tuple[str, ...]
    environment: str = ""
    """The Python of another environment that the module is to run in: what its packages run at the start of a Python, they
    run confined."""
