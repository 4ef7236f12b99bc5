"""Passes one after the other, and quantizers."""

from pathlib import Path

import pytest

from fdpipe import graphs
from fdpipe.artifacts import Ranges
from fdpipe.content import files_below, tree_digest
from fdpipe.errors import NotApplicable
from fdpipe.passes.fuse import Fuse, Level
from fdpipe.passes.int8_dynamic import Int8Dynamic
from fdpipe.passes.int8_static import Int8Static
from fdpipe.stages.optimize import optimize, quantize
from fdpipe.store import LocalStore
from tests import onnx_models
from tests.contracts.passes import ranges_of


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def source(store: LocalStore) -> Path:
    return onnx_models.mlp(store.root / "source" / "model.onnx")


def test_without_passes_it_is_the_same_artifact(store: LocalStore, source: Path) -> None:
    model = onnx_models.artifact(source)
    found = optimize(store, (), model)
    assert (found.path, found.digest) == (model.path, model.digest)


def test_passes_build_on_each_other(store: LocalStore, source: Path) -> None:
    model = onnx_models.artifact(source)
    found = optimize(store, (Fuse(level=Level.BASIC), Fuse()), model)
    assert "FusedGemm" in graphs.operators(found.path)
    assert (found.inputs, found.outputs, found.kind) == (model.inputs, model.outputs, "onnx")
    assert found.digest == tree_digest(found.path.parent) != model.digest
    assert found.size_bytes == found.path.stat().st_size


def test_only_the_last_pass_leaves_files(store: LocalStore, source: Path) -> None:
    found = optimize(store, (Fuse(level=Level.BASIC), Fuse()), onnx_models.artifact(source))
    entry = found.path.parents[1]
    kept = {file.relative_to(entry).as_posix() for file in files_below(entry)}
    assert kept == {"value.json", "files.json", "model/model.onnx"}


def test_weights_beside_the_graph_come_along_and_count(store: LocalStore) -> None:
    model = onnx_models.artifact(onnx_models.mlp(store.root / "source" / "model.onnx", external=True))
    found = optimize(store, (Fuse(),), model)
    assert found.size_bytes == sum(file.stat().st_size for file in found.path.parent.iterdir())
    assert found.size_bytes > 16 * 64 * 4


def test_quantizing_again_gives_the_same_digest(store: LocalStore, source: Path, tmp_path: Path) -> None:
    model, ranges = onnx_models.artifact(source), ranges_of(source)
    for quantizer, given in ((Int8Dynamic(), None), (Int8Static(), ranges)):
        first = quantize(store, quantizer, model, given)
        again = quantize(LocalStore(tmp_path / "store" / "other"), quantizer, model, given)
        assert first.path != again.path
        assert first.digest == again.digest != model.digest


def test_other_ranges_make_another_model(store: LocalStore, source: Path) -> None:
    model, ranges = onnx_models.artifact(source), ranges_of(source)
    wider = Ranges(method="minmax", rows=1, data_digest="", inputs={}, values=dict.fromkeys(ranges.values, (-99.0, 99.0)))
    digests = {quantize(store, Int8Static(), model, one).digest for one in (ranges, wider)}
    assert len(digests) == 2


def test_a_pass_that_does_not_suit_is_a_reason_and_leaves_nothing(store: LocalStore) -> None:
    model = onnx_models.artifact(onnx_models.tree(store.root / "source" / "model.onnx"))
    with pytest.raises(NotApplicable, match="the graph has no Conv, Gemm or MatMul: static INT8 has nothing to quantize"):
        quantize(store, Int8Static(), model, Ranges(method="", rows=0, data_digest="", values={}, inputs={}))
    with pytest.raises(NotApplicable, match="the graph has no MatMul or Gemm: dynamic INT8 has nothing to quantize"):
        quantize(store, Int8Dynamic(), model, None)
    assert list((store.root / "scratch").rglob("*.onnx")) == []
    assert store.entries() == []
