"""Ranges from calibration rows."""

from pathlib import Path

import numpy as np
import pytest

from fdpipe import workers
from fdpipe.arrays import Batch, rows_in, save_arrays
from fdpipe.artifacts import Ranges, Rows, TensorSpec, WorkerSpec
from fdpipe.calibrator.entropy import Entropy
from fdpipe.calibrator.minmax import MinMax
from fdpipe.calibrator.moving_average import MovingAverage
from fdpipe.calibrator.mse import Mse
from fdpipe.calibrator.percentile import Percentile
from fdpipe.interfaces import Calibrator
from fdpipe.processor.none import Plain
from fdpipe.stages.calibrate import batches_of, calibrate
from fdpipe.store import LocalStore
from tests import onnx_models

CALIBRATION = np.random.default_rng(1).uniform(-1, 1, size=(100, 16)).astype(np.float32)


def rows(folder: Path, role: str, columns: Batch) -> Rows:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{role}.npz"
    return Rows(role=role, path=path, digest=save_arrays(path, columns), count=rows_in(columns), labelled=False)


def calibrated(tmp_path: Path, evaluation: np.ndarray, calibrator: Calibrator | None = None) -> Ranges:
    store = LocalStore(tmp_path / "store")
    model = onnx_models.artifact(onnx_models.mlp(store.root / "source" / "model.onnx"))
    processor: WorkerSpec = workers.spec("processor", Plain(inputs=model.inputs, names=("x",)))
    data = [rows(store.root / "data", role, {"x": x}) for role, x in (("calibration", CALIBRATION), ("evaluation", evaluation))]
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


@pytest.mark.parametrize(
    ("calibrator", "method"),
    [(MinMax(), "minmax"), (MovingAverage(), "moving_average"), (Entropy(), "entropy"), (Mse(), "mse")],
)
def test_the_method_is_named_as_its_file(tmp_path: Path, calibrator: Calibrator, method: str) -> None:
    assert calibrated(tmp_path, CALIBRATION, calibrator).method == method


def test_a_clipped_range_covers_what_it_kept(tmp_path: Path) -> None:
    found = calibrated(tmp_path, CALIBRATION, Percentile(percentile=90))
    assert found.coverage == pytest.approx(0.8, abs=0.002)
    assert found.coverage_by_input == {"x": found.coverage}


def test_the_inputs_alone(tmp_path: Path) -> None:
    found = calibrated(tmp_path, CALIBRATION, MinMax(inputs_only=True))
    assert found.values == found.inputs == {"x": (CALIBRATION.min(), CALIBRATION.max())}
    assert found.coverage == 1


def test_whole_numbers_do_not_count(tmp_path: Path) -> None:
    """Of two inputs, `a` is a float: half of its values lie outside; `b` lies outside as a whole."""
    store = LocalStore(tmp_path / "store")
    model = onnx_models.artifact(onnx_models.two_inputs(store.root / "source" / "model.onnx"))
    processor = workers.spec("processor", Plain(inputs=model.inputs, names=("a", "b")))
    seen: Batch = {"a": np.ones((9, 4), np.float32), "b": np.ones((9, 2), np.int64)}
    asked: Batch = {"a": np.tile(np.array([1, 1, 5, -5], np.float32), (7, 1)), "b": np.full((7, 2), 99)}
    data = [rows(store.root / "data", role, columns) for role, columns in (("calibration", seen), ("evaluation", asked))]
    found = calibrate(store, MinMax(), model, processor, *data)
    assert found.inputs == {"a": (1.0, 1.0)}
    assert found.coverage == 0.5
    assert found.coverage_by_input == {"a": 0.5}


@pytest.mark.parametrize(
    ("axes", "sizes"),
    [
        (("rows", 16), [64, 6]),  # small rows go together
        (("rows", 1000), [4] * 17 + [2]),
        (("rows", 3, 64, 64), [1] * 70),
        (("rows", "length"), [1] * 70),  # as texts: none is padded to another's length
        ((32, 16), [32, 32, 32]),  # a graph for 32 rows and no other number
    ],
)
def test_how_many_rows_go_together(axes: tuple[int | str, ...], sizes: list[int]) -> None:
    spec = TensorSpec(name="x", dtype="float32", shape=axes)
    rest = [5 if isinstance(axis, str) else axis for axis in axes[1:]]
    x = np.broadcast_to(np.arange(70, dtype=np.float32).reshape(70, *(1 for _ in rest)), (70, *rest))
    batches = list(batches_of(Plain(inputs=(spec,), names=("x",)), {"x": x}, (spec,)))
    assert [len(batch["x"]) for batch in batches] == sizes
    seen = np.concatenate([batch["x"].reshape(len(batch["x"]), -1)[:, 0] for batch in batches])
    assert seen.tolist() == [*range(70), *range(sum(sizes) - 70)]
