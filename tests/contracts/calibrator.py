"""What every calibrator must do."""

import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

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


def in_batches(rows: np.ndarray, sizes: Iterable[int]) -> Batches:
    """The rows in batches of these sizes, what is left in one more."""
    borders = np.minimum(np.cumsum([*sizes]), len(rows))
    return lambda: [{"x": part} for part in np.split(rows, borders) if len(part)]


def varying(folder: Path) -> Path:
    """Texts as a graph sees them: `tokens` of (rows, length) → their embeddings, with each other's → mean over the text."""
    random = np.random.default_rng(8)
    shapes = {"table": (50, 8), "w": (8, 8)}
    weights = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()} | {"axis": np.array([1])}
    nodes = [
        helper.make_node("Gather", ["table", "tokens"], ["embedded"]),
        helper.make_node("MatMul", ["embedded", "w"], ["keys"]),
        helper.make_node("Transpose", ["keys"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["embedded", "turned"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["shares"]),
        helper.make_node("MatMul", ["shares", "embedded"], ["mixed"]),
        helper.make_node("ReduceMean", ["mixed", "axis"], ["y"], keepdims=0),
    ]
    inputs = [onnx_models.value("tokens", TensorProto.INT64, "rows", "length")]
    outputs = [onnx_models.value("y", TensorProto.FLOAT, "rows", 8)]
    return onnx_models.save(folder / "model.onnx", nodes, inputs, outputs, weights)


def texts(count: int) -> list[Batch]:
    """Of 1 to 40 tokens, two in a call, the shorter padded to the longer."""
    random = np.random.default_rng(9)
    found: list[Batch] = []
    for _ in range(count):
        tokens = random.integers(1, 50, (2, int(random.integers(1, 41))))
        tokens[1, tokens.shape[1] // 2 :] = 0
        found.append({"tokens": tokens})
    return found


UNLIKE = (HealthCheck.function_scoped_fixture, HealthCheck.differing_executors)
"""A contract is inherited: one test has many classes, and a model that is made once for all of its examples."""


class CalibratorContract:
    """Inherit it, with a fixture `calibrator`."""

    depends_on_batches: ClassVar[bool] = False
    """Whether the order of the rows and the size of batches matter, as its docstring then says."""

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

    @settings(max_examples=8, deadline=None, suppress_health_check=list(UNLIKE))
    @given(sizes=st.lists(st.integers(1, 200), max_size=8), seed=st.integers(0, 99))
    def test_neither_order_nor_size_of_batches_changes_anything(
        self, calibrator: Calibrator, tmp_path: Path, sizes: list[int], seed: int
    ) -> None:
        """Beyond what the multiplication's own rounding does to values at a border: a few bins."""
        if self.depends_on_batches:
            return
        model = onnx_models.mlp(tmp_path / "model.onnx")
        shuffled = np.random.default_rng(seed).permutation(ROWS)
        found, wanted = (calibrator.collect(model, rows) for rows in (in_batches(shuffled, sizes), cut(ROWS, 32)))
        assert found.keys() == wanted.keys()
        assert found["x"] == wanted["x"]  # which is not computed
        np.testing.assert_allclose([found[name] for name in wanted], [*wanted.values()], rtol=5e-3, atol=1e-5)

    def test_missing_values_do_not_count(self, calibrator: Calibrator, tmp_path: Path) -> None:
        """Here of every second row, in batches whose other rows are the same."""
        rows = ROWS.copy()
        rows[::2] = np.nan
        model = onnx_models.mlp(tmp_path / "model.onnx")
        found, wanted = (calibrator.collect(model, batches) for batches in (cut(rows, 64), cut(ROWS[1::2], 32)))
        np.testing.assert_allclose([*found.values()], [*wanted.values()], rtol=5e-3, atol=1e-5)

    @pytest.mark.parametrize("value", [np.inf, -np.inf])
    def test_infinite_values_do_not_count(self, calibrator: Calibrator, tmp_path: Path, value: float) -> None:
        rows = ROWS.copy()
        rows[3] = value
        found = calibrator.collect(onnx_models.mlp(tmp_path / "model.onnx"), cut(rows, 64))
        assert np.isfinite([*found.values()]).all()
        assert found["x"] == pytest.approx(calibrator.collect(tmp_path / "model.onnx", cut(ROWS, 64))["x"], rel=0.1)

    def test_what_is_always_missing_has_no_range(self, calibrator: Calibrator, tmp_path: Path) -> None:
        assert calibrator.collect(onnx_models.mlp(tmp_path / "model.onnx"), cut(np.full_like(ROWS, np.nan), 32)) == {}

    def test_zeros_have_a_range(self, calibrator: Calibrator, tmp_path: Path) -> None:
        assert calibrator.collect(onnx_models.mlp(tmp_path / "model.onnx"), cut(np.zeros_like(ROWS), 32))["x"] == (0.0, 0.0)

    @pytest.mark.parametrize("value", [-3.5, 1e-30, 2.0**20])
    def test_one_value_is_its_own_range(self, calibrator: Calibrator, tmp_path: Path, value: float) -> None:
        rows = np.full_like(ROWS, value)
        found = calibrator.collect(onnx_models.mlp(tmp_path / "model.onnx"), cut(rows, 32))
        assert found["x"] == pytest.approx((value, value), rel=1e-6)

    def test_two_inputs_and_one_of_whole_numbers(self, calibrator: Calibrator, tmp_path: Path) -> None:
        batch: Batch = {"a": np.eye(4, dtype=np.float32), "b": np.ones((4, 2), np.int64)}
        found = calibrator.collect(onnx_models.two_inputs(tmp_path / "model.onnx"), lambda: [batch])
        assert set(found) == {"a", "m", "f", "y"}

    def test_texts_of_any_length(self, calibrator: Calibrator, tmp_path: Path) -> None:
        """On which ONNX Runtime's own calibrators by histogram fail: their arrays of different length do not stack."""
        found = calibrator.collect(varying(tmp_path), lambda: texts(20))
        assert set(found) == {"embedded", "keys", "turned", "scores", "shares", "mixed", "y"}
        assert found["turned"] == found["keys"]
        assert 0 <= found["shares"][0] < found["shares"][1] <= 1 + 1e-6

    def test_text_has_none(self, calibrator: Calibrator, tmp_path: Path) -> None:
        batch = {"s": np.array([["yes"]], object)}
        assert calibrator.collect(onnx_models.text(tmp_path / "model.onnx"), lambda: [batch]) == {}

    def test_no_rows_are_refused(self, calibrator: Calibrator, tmp_path: Path) -> None:
        with pytest.raises(StageError, match="no calibration rows"):
            calibrator.collect(onnx_models.mlp(tmp_path / "model.onnx"), lambda: [])

    def test_memory_does_not_grow_with_the_rows(self, calibrator: Calibrator, tmp_path: Path) -> None:
        """From 8 batches to 80, by less than one batch's tensors take."""
        model = onnx_models.mlp(tmp_path / "model.onnx")
        _, few, many = (self._peak(calibrator, model, batches) for batches in (1, 8, 80))
        kept = sum(array.nbytes for array in onnx_models.mlp_tensors(np.ones((256, 16), np.float32)).values())
        assert many - few < kept

    def _peak(self, calibrator: Calibrator, model: Path, batches: int) -> int:
        def rows() -> Iterator[Batch]:
            random = np.random.default_rng(5)
            for _ in range(batches):
                yield {"x": random.normal(size=(256, 16)).astype(np.float32)}

        tracemalloc.start()
        try:
            calibrator.collect(model, rows)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
