"""An environment whose packages are somebody else's: nothing of them runs before the sandbox is closed."""

import os
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from fdpipe.artifacts import SourceModel
from fdpipe.isolation.launch import Interpreter, Limits
from fdpipe.isolation.process import Isolated
from fdpipe.testing import FakeConverter
from tests.isolation.conftest import ROWS

LIMITS = Limits(seconds=60, memory_gib=4, written_gib=1)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An environment that finds this one's packages."""
    venv.create(tmp_path / "environment", symlinks=True)
    (ours,) = {os.path.dirname(os.path.dirname(np.__file__))}  # noqa: PTH120 - a string for a .pth file
    (packages(tmp_path / "environment") / "ours.pth").write_text(f"{ours}\n")
    return tmp_path / "environment"


def packages(place: Path) -> Path:
    (found,) = place.glob("lib/python*/site-packages")
    return found


def answers(place: Path, model: SourceModel, scratch: Path) -> dict[str, np.ndarray]:
    python = Interpreter(executable=str(place / "bin" / "python"), readable=(str(place), sys.prefix, sys.base_prefix))
    scratch.mkdir()
    with Isolated(FakeConverter(), model, LIMITS, scratch, python) as original:
        return original.predict(ROWS)


def test_its_packages_are_found(place: Path, model: SourceModel, tmp_path: Path) -> None:
    assert answers(place, model, tmp_path / "scratch")


@pytest.mark.parametrize("file", ["run.pth", "sitecustomize.py"])
def test_what_runs_at_the_start_of_a_python_runs_confined(place: Path, model: SourceModel, tmp_path: Path, file: str) -> None:
    (packages(place) / file).write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).write_text('ran')\n")
    assert answers(place, model, tmp_path / "scratch")
    assert not (tmp_path / "ran").exists()


def test_its_own_program_and_settings_are_not_used_before(place: Path, model: SourceModel, tmp_path: Path) -> None:
    """A wheel may bring scripts of any name, and files to lie in the environment's folder."""
    python, settings = place / "bin" / "python", place / "pyvenv.cfg"
    python.unlink()
    python.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    python.chmod(0o755)
    settings.write_text(settings.read_text().replace("home = ", f"home = {tmp_path}/evil#"))
    assert answers(place, model, tmp_path / "scratch")
    assert not (tmp_path / "ran").exists()
