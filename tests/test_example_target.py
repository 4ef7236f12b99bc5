"""Any other target: a package with one YAML and one worker, through the real line. See tests/example_target/README.md."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fdpipe import bento, config, workers
from fdpipe.arrays import save_arrays
from fdpipe.artifacts import Examples
from fdpipe.errors import Exit
from fdpipe.execution import execute
from fdpipe.gate.slices import Slices
from fdpipe.home import settle_environment
from fdpipe.interfaces import Runtime, Slicer
from tests import models
from tests.contracts.runtime import RuntimeContract
from tests.contracts.slicer import Sliced, SlicerContract

PACKAGE = Path(__file__).parent / "example_target"


@pytest.fixture(autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The package as pip leaves it in an editable installation: on the path, and registered."""
    place = tmp_path_factory.mktemp("site")
    info = place / "example_board-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: example-board\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fdpipe.plugins]\nexample_board = example_board\n")
    paths = [str(place), str(PACKAGE)]
    sys.path[:0] = paths
    for cached in (workers.plugin_packages, workers.versions):
        cached.cache_clear()
    try:
        yield
    finally:
        for path in paths:
            sys.path.remove(path)
        for cached in (workers.plugin_packages, workers.versions):
            cached.cache_clear()
        for name in [name for name in sys.modules if name.partition(".")[0] == "example_board"]:
            del sys.modules[name]


class TestBoard(RuntimeContract):
    @pytest.fixture
    def runtime(self) -> Runtime:
        found: Runtime = workers.build("runtime", {"_target_": "example_board.runtime.board.Board"})
        return found


def test_its_files_are_among_the_choices(tmp_path: Path) -> None:
    plan = config.load(["model=two@candidate", "+target=board"], project=tmp_path)
    assert plan.target.name == "board"
    assert list(plan.runtime) == ["board"]
    assert plan.versions["example-board"] == "1.0"
    for group in ("target", "runtime"):
        assert "board" in {choice.name for choice in config.options(group)}


class TestItsSlicer(SlicerContract):
    """A user's own function, which is one worker and its file."""

    @pytest.fixture
    def slicer(self) -> Slicer:
        found: Slicer = workers.build("slicer", {"_target_": "example_board.slicer.by_function.ByFunction", "times": 2.0})
        return found

    @pytest.fixture
    def sliced(self) -> Sliced:
        features = {"a": np.array([[1.0, 3.0], [1.0, 2.0]]), "b": np.array([[0.5], [1.0]])}
        slices = {"a above": [True, False], "b above": [False, True]}
        return Sliced(examples=Examples(features=features), slices=slices)


def test_its_slicer_brings_its_check_into_the_gate(tmp_path: Path) -> None:
    overrides = ["model=two@candidate", "+target=cpu", "+slicer=by_function", "slicer.by_function.times=3"]
    plan = config.load(overrides, project=tmp_path)
    assert isinstance(plan.gate["slices"], Slices)
    (slicer,) = plan.slicer.values()
    assert workers.describe(slicer) == {"_target_": "example_board.slicer.by_function.ByFunction", "times": 3.0}


def test_the_line_releases_for_it(home: Path, tmp_path: Path) -> None:
    """From the registry to a proved service, which runs the board's own engine."""
    random = np.random.default_rng(0)
    rows = {"a": random.normal(size=(64, 3)).astype(np.float32), "b": random.normal(size=(64, 2)).astype(np.float32)}
    for name in ("evaluation", "calibration"):
        save_arrays(tmp_path / f"{name}.npz", {key: value + (name == "calibration") for key, value in rows.items()})
    settle_environment()
    uri = models.new_registry(home / "mlflow")
    files = (tmp_path / "evaluation.npz", tmp_path / "calibration.npz")
    models.register(uri, "two", models.logged_two_inputs, aliases=("candidate",), artifacts=files)
    port = bento.free_port("127.0.0.1", 20000 + os.getpid() % 10000)
    overrides = ["model=two@candidate", "+target=board", "orchestrator=none", "benchmark=quick", "deployer=dry_run"]
    overrides += ["+slicer=by_function", "+corruption=noise", "gate.max_drop=0.05"]  # as much as 64 rows can prove
    plan = config.load([*overrides, f"source.tracking_uri={uri}", f"service.port={port}"], project=tmp_path)
    done = execute(plan, trigger="test")
    record = done.record
    assert done.exit_code is Exit.DONE, record.rejection
    assert record.release is not None
    assert record.release.candidate.runtime == "board"
    assert record.release.artifact.kind == "board"
    assert record.release.artifact.path.name == "model.board"
    judged = {one.check: one for one in record.verdict.results if one.candidate == record.release.candidate.name}
    assert {one.name for one in judged["slices"].findings} == {"by_function: a above", "by_function: b above"}
    assert "robustness" in judged
    assert record.proof is not None
    assert record.proof.holds, record.proof.reason
    assert any(path.name == "board.py" for path in record.release.path.rglob("example_board/runtime/*.py")), (
        "it carries the worker"
    )
