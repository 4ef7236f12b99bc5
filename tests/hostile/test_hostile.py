"""Hostile models from the registry to the converted model: refused in one line, and nothing happens."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from fdpipe.errors import FdpipeError
from fdpipe.plan import Conversion, Isolation, Tolerance
from fdpipe.source.mlflow import Mlflow
from fdpipe.stages.convert import convert
from fdpipe.stages.fetch import fetch
from fdpipe.standard import standard_plan
from fdpipe.store import LocalStore
from tests.hostile.corpus import CASES, Case
from tests.hostile.trap import Trap
from tests.models import new_registry, rows_of

ISOLATED = ("skops_os.system", "onnx_weights_outside", "pytorch_pt2_with_a_pickle_inside", "transformers_weights_that_are_none")
"""Those that are tried as by default. The others are opened in this very process, where a sandbox cannot hide that code ran."""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> str:
    return new_registry(tmp_path_factory.mktemp("registry"))


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Trap]:
    made = Trap(tmp_path)
    yield made
    made.close()


def test_there_are_many() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60


def register(uri: str, folder: Path) -> str:
    """A new version of `hostile` whose files are those of the folder."""
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    if not client.search_registered_models("name='hostile'"):
        client.create_registered_model("hostile")
    return f"hostile/{client.create_model_version('hostile', folder.as_uri()).version}"


def below(folder: Path) -> list[tuple[str, int]]:
    """Everything in the folder, with when it was written."""
    return sorted((str(path), path.lstat().st_mtime_ns) for path in folder.rglob("*"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_refused_and_nothing_happens(case: Case, registry: str, trap: Trap, tmp_path: Path, home: Path) -> None:
    case.build(tmp_path / "model", trap)
    reference = register(registry, tmp_path / "model")
    plan, source = standard_plan(reference), Mlflow(tracking_uri=registry)
    store = LocalStore(tmp_path / "store")
    rows = rows_of(tmp_path / "store" / "rows", {"input": np.array([[0, 1], [2, 1]], np.float32)})
    how = Conversion(seconds=60, isolation=Isolation.PROCESS if case.name in ISOLATED else Isolation.IN_PROCESS)
    before = below(tmp_path / "model")

    def converted() -> None:
        model = fetch(store, source, source.resolve(reference))
        convert(store, plan.converter, plan.processor, plan.runtime, model, rows, how, Tolerance())

    with pytest.raises(FdpipeError, match=re.compile(case.told)) as caught:
        converted()
    assert "\n" not in str(caught.value)
    assert trap.sprung() == []
    assert below(tmp_path / "model") == before
    assert not [entry for entry in store.entries() if entry.stage == "convert"]


def test_the_trap_works(trap: Trap, tmp_path: Path) -> None:
    """What the corpus plants does harm where it is let."""
    import subprocess
    import sys

    subprocess.run([sys.executable, "-c", f"import pickle; pickle.loads({trap.pickle()!r})"], check=True)
    assert {found.partition(":")[0] for found in trap.sprung()} == {
        "code ran", "files outside were changed", "processes are left", "the server was called",
    }  # fmt: skip
