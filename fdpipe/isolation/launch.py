"""Starting a sandbox that serves an original, and ending it with all that it started."""

import contextlib
import json
import os
import re
import site
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from fdpipe import home, sandbox
from fdpipe.errors import StageError
from fdpipe.isolation import child, sources
from fdpipe.sandbox import keeper

Process = subprocess.Popen[bytes]

KEPT = re.compile(
    r"PATH|LANG|LANGUAGE|LC_\w+|TZ|LD_LIBRARY_PATH|JAVA_HOME|CUDA_HOME|CUDA_VISIBLE_DEVICES|"
    r"(OMP|MKL|KMP|OPENBLAS|GOTO|NUMEXPR|VECLIB|BLIS)_\w+|\w+_NUM_THREADS|COVERAGE_PROCESS_\w+"
)
"""What the child keeps of the environment: nothing that could hold a secret."""

PLACES = ("PATH", "LD_LIBRARY_PATH", "JAVA_HOME", "CUDA_HOME")
"""Those that name folders, which it must be able to read."""

SET = {
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",  # or else two exports may differ
    "PYTHONUNBUFFERED": "1",  # or else its last lines are lost when it crashes
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "SPARK_LOCAL_IP": "127.0.0.1",  # the machine's name leads nowhere
}

HIDDEN = ("/dev", "/run/secrets", "/var/run/secrets")
"""Terminals and other devices that one may read from, and what containers are given in confidence."""

LOG = "log"
HOME = "home"
EXPORTS = "exports"
"""What lies in the scratch folder: the child's words, its home, and what it has made."""

ENDING_S = 20.0
"""How long a sandbox has to end all that is in it."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an original may take; `seconds` is for each call, and None for no limit."""

    seconds: float | None
    memory_gib: float
    written_gib: float


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """The Python of an environment, the folders that it needs to read, and what it has on PYTHONPATH."""

    executable: str
    readable: tuple[str, ...]
    path: tuple[str, ...] = ()


def this_interpreter() -> Interpreter:
    """The pipeline's own."""
    given = tuple(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    imported = (place for place in (*given, *filter(None, sys.path)) if Path(place).resolve() not in _private())
    readable = {sys.prefix, sys.base_prefix, *imported}
    return Interpreter(executable=sys.executable, readable=tuple(sorted(readable)), path=given)


def start(python: Interpreter, limits: Limits, scratch: Path, needed: Path, theirs: socket.socket) -> Process:
    """A sandbox that serves the socket; it may write to its home and to its exports, and read the model at `needed`."""
    for name in (HOME, EXPORTS):
        (scratch / name).mkdir()
    other = "" if python.executable == sys.executable else python.executable
    program = [os.path.realpath(sys.executable), "-P", "-S"] if other else [python.executable, "-P"]
    offered = scratch / "sources"
    places = sources.offer(offered)
    named = [place for name in PLACES for place in os.environ.get(name, "").split(os.pathsep) if place]
    settings = sandbox.Settings(
        parent=os.getpid(),
        module=child.__name__,
        socket=theirs.fileno(),
        memory_bytes=int(limits.memory_gib * 2**30),
        file_bytes=int(limits.written_gib * 2**30),
        writable=(str(scratch / HOME), str(scratch / EXPORTS)),
        readable=(*python.readable, *map(str, (*places, needed, offered)), *named),
        hidden=tuple(str(place) for place in (*_private(), *HIDDEN)),
        environment=other,
    )
    with (scratch / LOG).open("wb") as log:
        try:
            Path(python.executable).stat()
            return subprocess.Popen(
                [*program, "-m", keeper.__name__, json.dumps(asdict(settings))],
                env=_environment(python, scratch / HOME, offered),
                cwd=scratch / HOME,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            raise StageError(f"{python.executable} cannot be started: {error.strerror}") from error


def end(process: Process) -> None:
    """End the sandbox, and wait until it has ended everything in it."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(ENDING_S)
    except subprocess.TimeoutExpired:
        process.kill()  # the kernel then ends what is in the namespace
        process.wait()


def _environment(python: Interpreter, own: Path, offered: Path) -> dict[str, str]:
    """The variables of the child, whose folder for everything is `own`; other programs that it starts keep to that too."""
    kept = {name: value for name, value in os.environ.items() if KEPT.fullmatch(name)}
    beside = str(Path(python.executable).parent)
    folders = {
        "HOME": str(own),
        "TMPDIR": str(own),
        "JAVA_TOOL_OPTIONS": f"'-Djava.io.tmpdir={own}' -XX:-UsePerfData",
        "PATH": os.pathsep.join(filter(None, (beside, kept.get("PATH")))),
        "PYTHONPATH": os.pathsep.join((str(offered), *python.path)),
    }
    users = {"PYTHONUSERBASE": site.getuserbase()} if site.ENABLE_USER_SITE else {}
    return kept | SET | folders | users


def _private() -> list[Path]:
    """The user's own folder, and fdpipe's state."""
    found = [home.home()]
    with contextlib.suppress(RuntimeError):
        found.append(Path.home())
    return [place.resolve() for place in found if place != Path("/")]
