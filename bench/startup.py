"""How long until the command line answers."""

from bench.common import FDPIPE, PYTHON, Figure, command, figure, interleaved


def measure() -> list[Figure]:
    """An empty interpreter, the import, and `--help`."""
    works = {
        "an empty Python": command(PYTHON, "-c", "pass"),
        "`import fdpipe`": command(PYTHON, "-c", "import fdpipe"),
        "`fdpipe --help`": command(FDPIPE, "--help"),
    }
    taken = interleaved(works, runs=20)
    return [figure(name, values, limit=0.15 if "--help" in name else None) for name, values in taken.items()]
