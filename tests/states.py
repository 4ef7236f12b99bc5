"""A state folder for what several tests of a file share."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def own_state(home: Path) -> Iterator[None]:
    """Work in this state folder, and leave the environment as it was."""
    before, folder = dict(os.environ), tempfile.tempdir
    os.environ["FDPIPE_HOME"] = str(home)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        tempfile.tempdir = folder
