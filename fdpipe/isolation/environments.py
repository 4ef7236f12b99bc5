"""Environments built from models' own requirements, kept by the digest of what is in them."""

import contextlib
import fcntl
import logging
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fdpipe.artifacts import SourceModel
from fdpipe.content import fingerprint
from fdpipe.errors import ConfigError, ConversionError, StoreError
from fdpipe.home import home
from fdpipe.interfaces import Loader
from fdpipe.isolation.launch import KEPT, Interpreter
from fdpipe.isolation.received import last_words
from fdpipe.isolation.requirements import blamed, needed, refuse_other_python

BUILD_S = 3600.0
"""How long the installer may take."""

INSTALLING = re.compile(
    r"HOME|USER|NETRC|(PIP|UV|SSL|XDG)_\w+|(HTTPS?|ALL|NO)_PROXY|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE", re.IGNORECASE
)
"""What an installer keeps of the environment beside what any child does: where its packages come from."""

log = logging.getLogger(__name__)


def interpreter(converter: Loader, model: SourceModel, installer: str = "auto", root: Path | None = None) -> Interpreter:
    """The Python of the model's own environment, built below `root` (the state folder's `environments`) where it is not
    there yet. Only wheels are installed, unless the model is trusted: anything else runs code to be built.

    `ConversionError` for another minor version of Python, for requirements that are refused, and for those that cannot be
    installed; the installer's words are then kept in `failed.log`.
    """
    refuse_other_python(model)
    lines = needed(converter, model)
    command = _installer(installer)
    version = ".".join(platform.python_version_tuple()[:2])
    digest = fingerprint(lines, version, model.trusted)
    folder = (root or home() / "environments") / digest[:32]
    with _alone(folder):
        place = _ready(folder)
        if place is None:
            log.info("building the environment of %s: %s", model.ref.name, ", ".join(lines))
            place = _build(folder, command, lines, model)
    return Interpreter(executable=str(place / "bin" / "python"), readable=(str(place), *_pythons(place)))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two that want the same environment build it once: the kernel's lock dies with its holder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _ready(folder: Path) -> Path | None:
    """The finished environment: an environment cannot be renamed, so a file that is written last names it."""
    with contextlib.suppress(OSError):
        place = folder / (folder / "ready").read_text()
        return place if (place / "bin" / "python").exists() else None
    return None


def _build(folder: Path, installer: str, lines: Sequence[str], model: SourceModel) -> Path:
    for rest in folder.glob("env-*"):
        shutil.rmtree(rest, ignore_errors=True)
    place, listed, words = folder / f"env-{uuid.uuid4().hex[:12]}", folder / "requirements.txt", folder / "building.log"
    listed.write_text("\n".join([*lines, ""]))
    for command in _commands(installer, place, listed, model):
        if not _run(command, words):
            shutil.rmtree(place, ignore_errors=True)
            words.replace(folder / "failed.log")
            raise _failure(model, lines, folder / "failed.log")
    marker = folder / "ready.new"
    marker.write_text(place.name)
    marker.replace(folder / "ready")
    for path in (words, folder / "failed.log"):
        path.unlink(missing_ok=True)
    return place


def _installer(wanted: str) -> str:
    """uv's path, or `pip`."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.is_file() else shutil.which("uv")
    if wanted == "uv" and not found:
        raise ConfigError(
            "converter.installer=uv: there is no uv here; install it (pip install uv) or say converter.installer=pip"
        )
    return found if found and wanted != "pip" else "pip"


def _commands(installer: str, place: Path, listed: Path, model: SourceModel) -> list[list[str]]:
    python = str(place / "bin" / "python")
    if installer == "pip":
        wheels = [] if model.trusted else ["--only-binary", ":all:"]
        install = [python, "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
        return [[sys.executable, "-m", "venv", str(place)], [*install, *wheels, "-r", str(listed)]]
    wheels = [] if model.trusted else ["--no-build"]
    quiet = ["--no-progress", "--color", "never"]
    return [
        [installer, "venv", *quiet, "--python", sys.executable, str(place)],
        [installer, "pip", "install", *quiet, "--python", python, *wheels, "-r", str(listed)],
    ]


def _run(command: Sequence[str], words: Path) -> bool:
    """Whether it succeeded; what it says is added to the file."""
    environment = {name: value for name, value in os.environ.items() if KEPT.fullmatch(name) or INSTALLING.fullmatch(name)}
    with words.open("ab") as stream:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=words.parent,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
        try:
            return process.wait(BUILD_S) == 0
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            stream.write(f"\nended after {BUILD_S:g} s\n".encode())
            return False


def _failure(model: SourceModel, lines: Sequence[str], words: Path) -> ConversionError:
    said = last_words(words)
    names = ", ".join(blamed(lines, said)[:3])
    wheels = "" if model.trusted else " from wheels, as for any model that is not trusted"
    return ConversionError(
        f"the environment of {model.ref.name} cannot be built{wheels}{f', because of {names}' if names else ''}{said} ({words})"
    )


def _pythons(place: Path) -> list[str]:
    """Where the environment's Python really lies, with its standard library."""
    return [sys.base_prefix, str((place / "bin" / "python").resolve().parent.parent)]
