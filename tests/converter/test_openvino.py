"""OpenVINO's own format, as it is."""

import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.models import Model, infer_signature

from fdpipe import workers
from fdpipe.artifacts import Artifact, Precision, SourceModel, Task
from fdpipe.content import tree_digest
from fdpipe.converter.openvino import OpenVino
from fdpipe.errors import ConversionError, NotApplicable, SourceError
from fdpipe.interfaces import Export
from fdpipe.mlmodel import describe
from fdpipe.processor.tabular import Tabular
from fdpipe.runtime.openvino import OpenVino as OpenVinoRuntime
from tests import onnx_models
from tests.contracts.settings import built
from tests.models import ref_of

pytestmark = pytest.mark.skipif(find_spec("openvino") is None, reason="the extra `openvino` is not installed")

X = np.random.default_rng(0).normal(size=(5, 16)).astype(np.float32)

CONVERTER = OpenVino()


def saved(folder: Path, graph: Path, signature: object = None) -> SourceModel:
    """The graph as OpenVINO's files in an MLflow model with a flavour of that name, as a team writes one."""
    from fdpipe.openvino import library

    openvino = library()
    openvino.save_model(openvino.Core().read_model(graph), folder / "model.xml", compress_to_fp16=False)
    described = Model(signature=infer_signature({"x": X}) if signature is None else signature)
    described.add_flavor("openvino", model="model.xml")
    described.save(str(folder / "MLmodel"))
    return describe(ref_of(folder), folder)


@pytest.fixture
def model(tmp_path: Path) -> SourceModel:
    return saved(tmp_path / "model", onnx_models.mlp(tmp_path / "model.onnx"))


def exported(model: SourceModel, folder: Path) -> Export:
    (folder / "export").mkdir()
    return CONVERTER.export(model, CONVERTER.load(model), folder / "export", Precision.FLOAT32)


def asked(export: Export, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The export's answers on the runtime that it is for."""
    artifact = Artifact(
        kind=CONVERTER.kind, path=export.path, digest=tree_digest(export.path.parent), size_bytes=1,
        inputs=export.inputs, outputs=export.outputs,
    )  # fmt: skip
    return OpenVinoRuntime().open(artifact, {}).run(batch)


def test_its_file_builds() -> None:
    assert built("converter", "openvino") == CONVERTER
    assert workers.build("converter", workers.describe(CONVERTER)) == CONVERTER


def test_accepts_its_own_flavour_only_and_without_trust(model: SourceModel) -> None:
    assert CONVERTER.accepts(model)
    assert not CONVERTER.accepts(replace(model, flavour="onnx"))
    assert CONVERTER.risk(model) is None


def test_both_files_stay_as_they_are(model: SourceModel, tmp_path: Path) -> None:
    export = exported(model, tmp_path)
    assert sorted(path.name for path in export.path.parent.iterdir()) == ["model.bin", "model.xml"]
    for name in ("model.xml", "model.bin"):
        assert (export.path.parent / name).read_bytes() == (model.path / name).read_bytes()
    assert [(spec.name, spec.dtype, spec.shape) for spec in export.inputs] == [("x", "float32", ("rows", 16))]
    assert [(spec.name, spec.shape) for spec in export.outputs] == [("y", ("rows", 10))]
    assert export.task is Task.TENSORS


def test_original_and_copy_answer_alike(model: SourceModel, tmp_path: Path) -> None:
    original = CONVERTER.predict(model, CONVERTER.load(model), {"x": X})
    np.testing.assert_allclose(original["y"], onnx_models.mlp_tensors(X)["y"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(original["y"], asked(exported(model, tmp_path), {"x": X})["y"], rtol=1e-6)


def test_columns_stand_side_by_side(tmp_path: Path) -> None:
    frame = pd.DataFrame(X.astype(np.float64), columns=[f"column {number}" for number in range(16)])
    model = saved(tmp_path / "model", onnx_models.mlp(tmp_path / "model.onnx"), infer_signature(frame))
    records = {str(name): frame[name].to_numpy() for name in frame}
    original = CONVERTER.predict(model, CONVERTER.load(model), records)
    export = exported(model, tmp_path)
    tensors = Tabular().bind(model, export.inputs, tmp_path).prepare(records)
    np.testing.assert_allclose(original["y"], asked(export, tensors)["y"], rtol=1e-6)


def test_several_inputs_of_several_types(tmp_path: Path) -> None:
    a, b = np.eye(4, dtype=np.float32), np.full((4, 2), 10, np.int64)
    model = saved(tmp_path / "model", onnx_models.two_inputs(tmp_path / "model.onnx"), infer_signature({"a": a, "b": b}))
    export = exported(model, tmp_path)
    assert [(spec.name, spec.dtype) for spec in export.inputs] == [("a", "float32"), ("b", "int64")]
    original = CONVERTER.predict(model, CONVERTER.load(model), {"b": b, "a": a})
    np.testing.assert_array_equal(original["y"], asked(export, {"a": a, "b": b})["y"])


def test_names_that_say_what_is_answered(tmp_path: Path) -> None:
    import onnx

    path = onnx_models.mlp(tmp_path / "model.onnx")
    graph = onnx.load(path)
    graph.graph.node[-1].output[0] = graph.graph.output[0].name = "value"
    onnx.save(graph, path)
    assert exported(saved(tmp_path / "model", path), tmp_path).task is Task.REGRESSION


def test_there_is_no_double_precision(model: SourceModel, tmp_path: Path) -> None:
    with pytest.raises(NotApplicable):
        CONVERTER.export(model, CONVERTER.load(model), tmp_path, Precision.FLOAT64)


def without_weights(folder: Path) -> None:
    (folder / "model.bin").unlink()


def weights_elsewhere(folder: Path) -> None:
    shutil.move(folder / "model.bin", folder.parent / "weights.bin")
    (folder / "model.bin").symlink_to(folder.parent / "weights.bin")


def graph_elsewhere(folder: Path) -> None:
    shutil.move(folder / "model.xml", folder.parent / "model.xml")
    (folder / "model.xml").symlink_to(folder.parent / "model.xml")


def no_graph(folder: Path) -> None:
    (folder / "model.xml").write_text("no model")


def cut_off(folder: Path) -> None:
    (folder / "model.bin").write_bytes((folder / "model.bin").read_bytes()[:100])


def entities(folder: Path) -> None:
    text = (folder / "model.xml").read_text()
    declared = '<!DOCTYPE net [<!ENTITY host SYSTEM "file:///etc/hostname">]>'
    (folder / "model.xml").write_text(text.replace("?>", f"?>{declared}", 1))


def outside(folder: Path) -> None:
    described = folder / "MLmodel"
    described.write_text(described.read_text().replace("model: model.xml", "model: ../model.onnx"))


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (without_weights, "must be an xml file with its weights, model.bin, beside it"),
        (weights_elsewhere, "must be an xml file with its weights"),
        (graph_elsewhere, "is no file of this model"),
        (no_graph, r"cannot open model\.xml"),
        (cut_off, r"cannot open model\.xml"),
        (entities, "declares a document type"),
        (outside, "is no file of this model"),
    ],
)
def test_a_damaged_or_foreign_file_is_one_clear_line(model: SourceModel, harm: Any, told: str) -> None:  # noqa: ANN401
    harm(model.path)
    with pytest.raises((ConversionError, SourceError), match=told) as caught:
        CONVERTER.load(model)
    assert "\n" not in str(caught.value)


def test_rows_that_do_not_fit_are_one_clear_line(model: SourceModel) -> None:
    original = CONVERTER.load(model)
    for features in ({"x": X[:, :3]}, {"x": np.array([["a"] * 16])}):
        with pytest.raises(ConversionError, match="the original cannot answer") as caught:
            CONVERTER.predict(model, original, features)
        assert "\n" not in str(caught.value)
