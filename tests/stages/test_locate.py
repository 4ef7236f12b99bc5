"""Where a model loses, as a stage."""

from pathlib import Path

import numpy as np
import pytest

from fdpipe import workers
from fdpipe.arrays import save_arrays
from fdpipe.artifacts import Rows, Sensitivity
from fdpipe.processor.none import Plain
from fdpipe.stages.locate import ROWS, locate
from fdpipe.store import LocalStore
from tests import onnx_models

X = np.random.default_rng(1).normal(size=(100, 16)).astype(np.float32)


def located(root: Path, x: np.ndarray) -> Sensitivity:
    store = LocalStore(root)
    model = onnx_models.artifact(onnx_models.mlp(root / "source" / "model.onnx"))
    (root / "data").mkdir(parents=True)
    path = root / "data" / "rows.npz"
    rows = Rows(role="calibration", path=path, digest=save_arrays(path, {"x": x}), count=len(x), labelled=False)
    return locate(store, model, workers.spec("processor", Plain(inputs=model.inputs, names=("x",))), rows)


def test_every_node_the_worst_first(tmp_path: Path) -> None:
    found = located(tmp_path / "store", X)
    assert {one.node for one in found.nodes} == {"m0", "m1", "m2"}
    known = [one.divergence for one in found.nodes]
    assert None not in known
    assert known == sorted(known, key=lambda gap: -(gap or 0))
    assert (found.rows, found.method) == (ROWS, "one node at a time")


@pytest.mark.parametrize("count", [1, 5])
def test_few_rows_are_all_taken(tmp_path: Path, count: int) -> None:
    assert located(tmp_path / "store", X[:count]).rows == count


def test_rows_are_taken_from_all_over(tmp_path: Path) -> None:
    """Without the last rows, which are others, another answer comes out."""
    other = X.copy()
    other[-10:] *= 50
    plain, changed = (located(tmp_path / name, x) for name, x in (("one", X), ("two", other)))
    assert plain.nodes != changed.nodes
