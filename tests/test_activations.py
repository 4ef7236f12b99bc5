"""What flows through a graph, reduced where it is made."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from fdpipe import activations
from fdpipe.arrays import Batch
from fdpipe.errors import StageError
from tests import onnx_models
from tests.contracts.calibrator import texts, varying


def batches(count: int, rows: int = 4) -> list[Batch]:
    return [{"x": np.full((rows, 16), number, np.float32)} for number in range(count)]


def listed(values: np.ndarray) -> list[np.ndarray]:
    """A copy, in a list to which others can be joined."""
    return [values.copy()]


def inside(path: Path, given: Iterable[Batch]) -> dict[str, list[np.ndarray]]:
    return activations.values_inside(path, given, listed, list.__add__)


def test_inside_are_the_values_that_numpy_finds(tmp_path: Path) -> None:
    x = np.random.default_rng(3).normal(size=(8, 16)).astype(np.float32)
    found = inside(onnx_models.mlp(tmp_path / "model.onnx", external=True), [{"x": x}])
    wanted = onnx_models.mlp_tensors(x)
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], [array.ravel()], rtol=1e-4, atol=1e-5)


def test_batches_are_joined_in_their_order(tmp_path: Path) -> None:
    found = inside(onnx_models.mlp(tmp_path / "model.onnx"), batches(50))
    assert [array.max() for array in found["x"]] == list(range(50))
    assert len(found["y"]) == 50


def test_only_finite_values_are_seen(tmp_path: Path) -> None:
    batch: Batch = {"x": np.array([[np.nan, np.inf, -np.inf, *range(13)]], np.float32)}
    found = inside(onnx_models.mlp(tmp_path / "model.onnx"), [batch, *batches(1)])
    assert found["x"][0].tolist() == list(range(13))
    assert (len(found["x"]), len(found["y"])) == (2, 1)  # all that follows the first is NaN


def test_what_reorders_a_tensor_has_the_same(tmp_path: Path) -> None:
    found = inside(varying(tmp_path), texts(3))
    assert found["turned"] is found["keys"]


def test_few_batches_are_held_at_once(tmp_path: Path) -> None:
    """Each is asked for when there is a thread for it."""
    asked, done = 0, 0
    most = 0

    def counted() -> Iterator[Batch]:
        nonlocal asked, most
        for batch in batches(100):
            asked += 1
            most = max(most, asked - done)
            yield batch

    def joined(one: int, other: int) -> int:
        nonlocal done
        done = one + other
        return done

    found = activations.values_inside(onnx_models.mlp(tmp_path / "model.onnx"), counted(), lambda values: 1, joined)
    assert found["x"] == 100
    assert most <= activations.THREADS + 1


def test_strings_and_whole_numbers_are_not_seen(tmp_path: Path) -> None:
    batch = {"s": np.array([["yes"]], object)}
    assert inside(onnx_models.text(tmp_path / "model.onnx"), [batch]) == {}
    assert activations.values_going_in([{**batch, "n": np.ones(3, np.int64)}], listed, list.__add__) == {}


@pytest.mark.parametrize("batch", [{"x": np.zeros((2, 3), np.float32)}, {"x": np.zeros((2, 16))}, {"z": np.zeros((2, 16))}])
def test_rows_that_do_not_fit_are_one_line(tmp_path: Path, batch: Batch) -> None:
    with pytest.raises(StageError, match="running the model on calibration rows failed") as told:
        inside(onnx_models.mlp(tmp_path / "model.onnx"), [batch])
    assert "\n" not in str(told.value)


def test_what_is_no_model_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(StageError, match="opening the model failed"):
        inside(tmp_path / "model.onnx", batches(1))


def test_an_error_of_the_batches_is_their_own(tmp_path: Path) -> None:
    def broken() -> Iterator[Batch]:
        yield batches(1)[0]
        raise ValueError("no such column")

    with pytest.raises(ValueError, match=r"^no such column$"):
        inside(onnx_models.mlp(tmp_path / "model.onnx"), broken())
