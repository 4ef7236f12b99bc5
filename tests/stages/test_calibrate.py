"""Ranges from calibration rows."""

from pathlib import Path

import numpy as np
import pytest

from fdpipe import workers
from fdpipe.arrays import save_arrays
from fdpipe.artifacts import Ranges, Rows, WorkerSpec
from fdpipe.calibrator.entropy import Entropy
from fdpipe.calibrator.minmax import MinMax
from fdpipe.interfaces import Calibrator
from fdpipe.processor.none import Plain
from fdpipe.stages.calibrate import calibrate
from fdpipe.store import LocalStore
from tests import onnx_models

CALIBRATION = np.random.default_rng(1).uniform(-1, 1, size=(100, 16)).astype(np.float32)


def rows(folder: Path, role: str, x: np.ndarray) -> Rows:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{role}.npz"
    return Rows(role=role, path=path, digest=save_arrays(path, {"x": x}), count=len(x), labelled=False)


def calibrated(tmp_path: Path, evaluation: np.ndarray, calibrator: Calibrator | None = None) -> Ranges:
    store = LocalStore(tmp_path / "store")
    model = onnx_models.artifact(onnx_models.mlp(store.root / "source" / "model.onnx"))
    processor: WorkerSpec = workers.spec("processor", Plain(inputs=model.inputs, names=("x",)))
    data = [rows(store.root / "data", role, x) for role, x in (("calibration", CALIBRATION), ("evaluation", evaluation))]
    return calibrate(store, calibrator or MinMax(), model, processor, *data)


def test_ranges_come_from_all_calibration_rows(tmp_path: Path) -> None:
    found = calibrated(tmp_path, CALIBRATION)
    assert found.values["x"] == (CALIBRATION.min(), CALIBRATION.max())
    assert set(found.values) == set(onnx_models.mlp_tensors(CALIBRATION))
    assert (found.method, found.rows) == ("minmax", 100)


def test_inputs_have_their_ranges_apart(tmp_path: Path) -> None:
    found = calibrated(tmp_path, CALIBRATION)
    assert found.inputs == {"x": found.values["x"]}


@pytest.mark.parametrize(("outside", "missing", "coverage"), [(0, 0, 1.0), (8, 0, 0.5), (4, 8, 0.5), (0, 16, None)])
def test_coverage_is_the_share_of_evaluation_values_inside(
    tmp_path: Path, outside: int, missing: int, coverage: float | None
) -> None:
    x = np.zeros((70, 16), np.float32)
    x[:, :outside] = 5
    x[:, 16 - missing :] = np.nan
    assert calibrated(tmp_path, x).coverage == coverage


def test_another_method_is_named(tmp_path: Path) -> None:
    assert calibrated(tmp_path, CALIBRATION, Entropy(bins=512)).method == "entropy"
