"""What every calibrator must do."""

import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from fdpipe import workers
from fdpipe.arrays import Batch
from fdpipe.errors import StageError
from fdpipe.interfaces import Calibrator
from tests import onnx_models

ROWS = np.random.default_rng(4).normal(size=(512, 16)).astype(np.float32)

Batches = Callable[[], Iterable[Batch]]


def cut(rows: np.ndarray, size: int) -> Batches:
    """The rows in batches."""
    return lambda: ({"x": rows[start : start + size]} for start in range(0, len(rows), size))


class CalibratorContract:
    """Inherit it, with a fixture `calibrator`."""

    def test_is_made_again_from_its_settings(self, calibrator: Calibrator) -> None:
        assert workers.build("calibrator", workers.describe(calibrator)) == calibrator

    def test_covers_inputs_inner_tensors_and_outputs_but_no_weights(self, calibrator: Calibrator, tmp_path: Path) -> None:
        found = calibrator.collect(onnx_models.mlp(tmp_path / "model.onnx"), cut(ROWS, 32))
        assert set(found) == set(onnx_models.mlp_tensors(ROWS))

    def test_ranges_are_plain_floats_within_what_was_seen(self, calibrator: Calibrator, tmp_path: Path) -> None:
        found = calibrator.collect(onnx_models.mlp(tmp_path / "model.onnx"), cut(ROWS, 32))
        for name, array in onnx_models.mlp_tensors(ROWS).items():
            low, high = found[name]
            assert type(low) is type(high) is float
            assert array.min() - 1e-4 <= low < high <= array.max() + 1e-4

    @pytest.mark.parametrize("size", [1, 100, 512])
    def test_the_size_of_batches_changes_nothing(self, calibrator: Calibrator, tmp_path: Path, size: int) -> None:
        model = onnx_models.mlp(tmp_path / "model.onnx")
        found, wanted = (calibrator.collect(model, cut(ROWS, rows)) for rows in (size, 32))
        assert found.keys() == wanted.keys()
        np.testing.assert_allclose([*found.values()], [*wanted.values()], rtol=5e-3, atol=1e-5)

    def test_missing_values_do_not_count(self, calibrator: Calibrator, tmp_path: Path) -> None:
        rows = ROWS.copy()
        rows[::2] = np.nan
        model = onnx_models.mlp(tmp_path / "model.onnx")
        found, wanted = (calibrator.collect(model, cut(some, 32)) for some in (rows, ROWS[1::2]))
        np.testing.assert_allclose([*found.values()], [*wanted.values()], rtol=5e-3, atol=1e-5)

    def test_what_is_always_missing_has_no_range(self, calibrator: Calibrator, tmp_path: Path) -> None:
        assert calibrator.collect(onnx_models.mlp(tmp_path / "model.onnx"), cut(np.full_like(ROWS, np.nan), 32)) == {}

    def test_zeros_have_a_range(self, calibrator: Calibrator, tmp_path: Path) -> None:
        assert calibrator.collect(onnx_models.mlp(tmp_path / "model.onnx"), cut(np.zeros_like(ROWS), 32))["x"] == (0.0, 0.0)

    def test_two_inputs_and_one_of_whole_numbers(self, calibrator: Calibrator, tmp_path: Path) -> None:
        batch: Batch = {"a": np.eye(4, dtype=np.float32), "b": np.ones((4, 2), np.int64)}
        found = calibrator.collect(onnx_models.two_inputs(tmp_path / "model.onnx"), lambda: [batch])
        assert set(found) == {"a", "m", "f", "y"}

    def test_no_rows_are_refused(self, calibrator: Calibrator, tmp_path: Path) -> None:
        with pytest.raises(StageError, match="no calibration rows"):
            calibrator.collect(onnx_models.mlp(tmp_path / "model.onnx"), lambda: [])

    def test_memory_does_not_grow_with_the_rows(self, calibrator: Calibrator, tmp_path: Path) -> None:
        model = onnx_models.mlp(tmp_path / "model.onnx")
        _, few, many = (self._peak(calibrator, model, batches) for batches in (1, 4, 80))
        kept = sum(array.nbytes for array in onnx_models.mlp_tensors(ROWS[:32]).values())
        assert many - few < 4 * kept

    def _peak(self, calibrator: Calibrator, model: Path, batches: int) -> int:
        def rows() -> Iterator[Batch]:
            random = np.random.default_rng(5)
            for _ in range(batches):
                yield {"x": random.normal(size=(32, 16)).astype(np.float32)}

        tracemalloc.start()
        try:
            calibrator.collect(model, rows)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
