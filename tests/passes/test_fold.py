"""Folding by onnxslim."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from fdpipe import graphs
from fdpipe.passes.fold import Fold
from tests import onnx_models
from tests.contracts.passes import PassContract, answers, done
from tests.contracts.settings import built


class TestFold(PassContract):
    takes_any_model = True

    @pytest.fixture
    def one(self) -> Fold:
        return Fold()


def test_its_file_builds() -> None:
    assert built("passes", "fold") == Fold()


def calculated(path: Path) -> Path:
    """y = x @ ((w + w) · 2), beside a node whose output nobody reads."""
    nodes = [
        helper.make_node("Add", ["w", "w"], ["twice"]),
        helper.make_node("Mul", ["twice", "two"], ["fourfold"]),
        helper.make_node("MatMul", ["x", "fourfold"], ["y"]),
        helper.make_node("Relu", ["x"], ["unread"]),
    ]
    weights = {"w": np.eye(16, 4, dtype=np.float32), "two": np.array(2, np.float32)}
    inputs, outputs = [onnx_models.value("x", 1, "rows", 16)], [onnx_models.value("y", 1, "rows", 4)]
    return onnx_models.save(path, nodes, inputs, outputs, weights)


def test_what_needs_no_input_is_calculated_and_what_is_dead_is_gone(tmp_path: Path) -> None:
    source = calculated(tmp_path / "in" / "model.onnx")
    target = done(Fold(), source, tmp_path / "out" / "model.onnx")
    assert graphs.operators(target) == ["MatMul"]
    np.testing.assert_array_equal(answers(target), answers(source))


def test_what_would_become_too_large_stays_calculated(tmp_path: Path) -> None:
    target = done(Fold(largest_bytes=1), calculated(tmp_path / "in" / "model.onnx"), tmp_path / "out" / "model.onnx")
    assert "Mul" in graphs.operators(target)


def test_shapes_are_written_down_and_symbolic_axes_keep_their_words(tmp_path: Path) -> None:
    source = onnx_models.transformer(tmp_path / "in" / "model.onnx")
    target = done(Fold(), source, tmp_path / "out" / "model.onnx")
    assert graphs.specs(target) == graphs.specs(source)
    known = {value.name: value.type.tensor_type.shape.dim for value in onnx.load(target).graph.value_info}
    assert [axis.dim_param or axis.dim_value for axis in known["norm0"]] == ["rows", "sequence", 16]


@pytest.mark.parametrize("build", [onnx_models.tree, onnx_models.text, onnx_models.two_inputs, onnx_models.conv])
def test_works_on_other_kinds_of_models(build: Callable[[Path], Path], tmp_path: Path) -> None:
    done(Fold(), build(tmp_path / "in" / "model.onnx"), tmp_path / "out" / "model.onnx")


def test_its_log_is_as_it_was(tmp_path: Path) -> None:
    log = logging.getLogger("onnxslim")
    before = (list(log.handlers), log.level, log.propagate)
    done(Fold(), onnx_models.mlp(tmp_path / "in" / "model.onnx"), tmp_path / "out" / "model.onnx")
    assert (log.handlers, log.level, log.propagate) == before


def test_a_size_must_be_a_size() -> None:
    with pytest.raises(ValueError, match="largest_bytes must be above 0"):
        Fold(largest_bytes=0)
