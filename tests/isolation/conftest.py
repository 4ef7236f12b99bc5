"""A fake original, and what can be seen from outside of the process that it is in."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from fdpipe.artifacts import ModelRef, SourceModel
from fdpipe.interfaces import Converter
from fdpipe.isolation.launch import Limits
from fdpipe.isolation.process import Isolated
from fdpipe.testing import FakeModel, HarmfulConverter

ROWS = {"x": np.eye(4, dtype=np.float32)}

Opening = Callable[..., AbstractContextManager[Isolated]]


@pytest.fixture
def model(tmp_path: Path) -> SourceModel:
    folder = tmp_path / "model"
    folder.mkdir()
    FakeModel().save(folder / "model.json")
    ref = ModelRef(name="tiny", version="1", uri="", digest="")
    return SourceModel(
        ref=ref, flavour="fake", serialization="fake", inputs=(), outputs=(), columns=False, path=folder, digest=""
    )  # fmt: skip


@pytest.fixture
def opening(model: SourceModel, tmp_path: Path) -> Opening:
    """Open the fake original with a converter, or with one that does the harm named; no process is left afterwards."""

    @contextmanager
    def opened(converter: Converter | str, target: object = "", **settings: Any) -> Iterator[Isolated]:  # noqa: ANN401
        limits = {name: settings.pop(name, value) for name, value in {"seconds": 60, "memory_gib": 4, "written_gib": 1}.items()}
        if isinstance(converter, str):
            converter = HarmfulConverter(harm=converter, target=str(target), **settings)
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        with Isolated(converter, model, Limits(**limits), scratch) as original:
            yield original
        assert mentioning(str(scratch)) == []

    return opened


def mentioning(word: str) -> list[int]:
    """The living processes that have the word in their arguments, this one excepted."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        living = process.info["status"] != psutil.STATUS_ZOMBIE
        if living and process.pid != os.getpid() and word in " ".join(process.info["cmdline"] or []):
            found.append(process.pid)
    return found
