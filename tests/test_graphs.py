"""Reading, writing and looking into ONNX files."""

import logging
from pathlib import Path

import onnx
import pytest

from fdpipe import graphs
from fdpipe.errors import NotApplicable, StageError
from tests import onnx_models


@pytest.mark.parametrize("external", [False, True])
def test_large_weights_are_written_beside_the_graph(tmp_path: Path, external: bool) -> None:
    source = onnx_models.mlp(tmp_path / "in" / "model.onnx", external=external)
    target = tmp_path / "model.onnx"
    graphs.write(graphs.read(source), target, inline_bytes=1000)
    assert graphs.has_external_data(target)
    assert {file.name for file in tmp_path.glob("*.*")} == {"model.onnx", "model.onnx.data"}
    assert graphs.read(target).graph == graphs.read(source).graph or not external


def test_small_weights_are_written_with_it(tmp_path: Path) -> None:
    source = onnx_models.mlp(tmp_path / "in" / "model.onnx", external=True)
    graphs.write(graphs.read(source), tmp_path / "model.onnx")
    assert not graphs.has_external_data(tmp_path / "model.onnx")


def test_what_is_no_model_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model at all")
    with pytest.raises(StageError, match="reading failed: ") as told, graphs.told("reading"):
        graphs.read(tmp_path / "model.onnx")
    assert "\n" not in str(told.value)


def test_our_own_errors_pass_through_as_they_are() -> None:
    with pytest.raises(NotApplicable, match=r"^reason$"), graphs.told("something"):
        raise NotApplicable("reason")


def test_libraries_cannot_give_the_root_logger_a_handler() -> None:
    root, before = logging.getLogger(), list(logging.getLogger().handlers)
    root.handlers.clear()
    try:
        with graphs.told("something"):
            logging.warning("from a library")
        assert root.handlers == []
    finally:
        root.handlers[:] = before


def test_every_float_tensor_is_typed_and_every_node_named(tmp_path: Path) -> None:
    """Behind the Scaler, ONNX's own inference finds nothing."""
    source = onnx_models.mlp(tmp_path / "model.onnx", scaler=True)
    assert not {value.name for value in onnx.shape_inference.infer_shapes(onnx.load(source)).graph.value_info} & {"h", "a0"}
    model = graphs.annotated(source)
    typed = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    assert typed == dict.fromkeys(("h", "m0", "a0", "r0", "m1", "a1", "r1", "m2"), onnx_models.FLOAT)
    names = [node.name for node in model.graph.node]
    assert all(names)
    assert len(set(names)) == len(names)


def test_a_replacement_has_the_same_names_types_and_axes(tmp_path: Path) -> None:
    one = onnx_models.mlp(tmp_path / "a.onnx")
    graphs.ensure_replaces(onnx_models.mlp(tmp_path / "b.onnx", scaler=True), one)
    fixed = onnx.load(one)
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(fixed, tmp_path / "fixed.onnx")
    with pytest.raises(NotApplicable, match="other inputs or outputs"):
        graphs.ensure_replaces(tmp_path / "fixed.onnx", one)


def test_a_replacement_opens(tmp_path: Path) -> None:
    one = onnx_models.mlp(tmp_path / "a.onnx")
    (tmp_path / "b.onnx").write_bytes(one.read_bytes()[:-100])
    with pytest.raises(StageError, match="opening the new model failed"):
        graphs.ensure_replaces(tmp_path / "b.onnx", one)
