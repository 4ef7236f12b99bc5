"""Transformer fusions."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from fdpipe import graphs
from fdpipe.artifacts import Precision
from fdpipe.converter.sentence_transformers import SentenceTransformers
from fdpipe.errors import NotApplicable
from fdpipe.passes.transformer import FuseTransformer, Fusion
from fdpipe.processor.text import Text
from fdpipe.runtime.onnxruntime import OnnxRuntime
from tests import onnx_models
from tests.contracts.converter import exported
from tests.contracts.passes import PassContract, done
from tests.contracts.settings import built
from tests.pretrained_models import SENTENCES, saved_sentences, sentences


class TestFuseTransformer(PassContract):
    takes_any_model = True

    @pytest.fixture
    def one(self) -> FuseTransformer:
        return FuseTransformer(required=False)


def test_its_file_builds() -> None:
    assert built("passes", "transformer") == FuseTransformer()


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("turned", [True, False])
@pytest.mark.parametrize("heads", [2, 4])
def test_a_layer_becomes_one_attention_one_gelu_and_sums(tmp_path: Path, heads: int, masked: bool, turned: bool) -> None:
    source = onnx_models.transformer(tmp_path / "in" / "model.onnx", heads=heads, masked=masked, turned=turned)
    target = done(FuseTransformer(), source, tmp_path / "out" / "model.onnx")
    found = graphs.operators(target)
    assert [found.count(one) for one in ("MultiHeadAttention", "Gelu", "Sum", "LayerNormalization")] == [1, 1, 2, 2]
    assert not {"Softmax", "Erf", "Transpose", "Reshape", "Mul", "Div"} & set(found)
    (attention,) = [node for node in onnx.load(target).graph.node if node.op_type == "MultiHeadAttention"]
    settings = {one.name: onnx.helper.get_attribute_value(one) for one in attention.attribute}
    assert settings["num_heads"] == heads
    np.testing.assert_allclose(settings["scale"], (16 / heads) ** -0.5, rtol=1e-6)
    rows = onnx_models.transformer_rows(masked=masked)
    made, exact = (OnnxRuntime().open(onnx_models.artifact(path), {}).run(rows)["y"] for path in (target, source))
    np.testing.assert_allclose(made, exact, atol=2e-5)


@pytest.mark.parametrize(
    ("fusion", "made"), [(Fusion.ATTENTION, "MultiHeadAttention"), (Fusion.GELU, "Gelu"), (Fusion.RESIDUAL, "Sum")]
)
def test_each_fusion_alone(tmp_path: Path, fusion: Fusion, made: str) -> None:
    source = onnx_models.transformer(tmp_path / "in" / "model.onnx")
    target = done(FuseTransformer(fusions=(fusion,)), source, tmp_path / "out" / "model.onnx")
    assert {"MultiHeadAttention", "Gelu", "Sum"} & set(graphs.operators(target)) == {made}


def test_onnx_runtime_leaves_the_sums_before_norms_apart(tmp_path: Path) -> None:
    """Its own fused operator for both takes longer than the two."""
    from fdpipe.passes.fuse import Fuse

    source = onnx_models.transformer(tmp_path / "in" / "model.onnx")
    alone = done(Fuse(), source, tmp_path / "alone" / "model.onnx")
    assert "SkipLayerNormalization" in graphs.operators(alone)
    summed = done(FuseTransformer(fusions=(Fusion.RESIDUAL,)), source, tmp_path / "summed" / "model.onnx")
    fused = done(Fuse(), summed, tmp_path / "fused" / "model.onnx")
    assert "SkipLayerNormalization" not in graphs.operators(fused)


def test_a_graph_without_attention_is_refused(tmp_path: Path) -> None:
    source = onnx_models.mlp(tmp_path / "model.onnx")
    with pytest.raises(NotApplicable, match=r"^the graph has no attention \(MatMul, Softmax, MatMul\): it is no transformer$"):
        FuseTransformer().requires(source)


def test_a_tensor_that_somebody_else_reads_is_not_fused_away(tmp_path: Path) -> None:
    """The shares of attention as a second answer."""
    source = onnx_models.transformer(tmp_path / "in" / "model.onnx")
    model = onnx.load(source)
    model.graph.output.append(onnx_models.value("shares", onnx_models.FLOAT, "rows", 2, "sequence", "sequence"))
    onnx.save(model, source)
    with pytest.raises(NotApplicable, match="no attention"):
        FuseTransformer().requires(source)


def test_what_sentence_transformers_exports(tmp_path: Path) -> None:
    model = saved_sentences(tmp_path / "model", sentences())
    export = exported(SentenceTransformers(), model, tmp_path, Precision.FLOAT32)
    target = done(FuseTransformer(), export.path, tmp_path / "out" / "model.onnx")
    found = graphs.operators(target)
    assert (found.count("MultiHeadAttention"), found.count("Gelu")) == (2, 2)
    (tmp_path / "processor").mkdir()
    batch = Text().bind(model, export.inputs, tmp_path / "processor").prepare({"text": np.array(SENTENCES)})
    made, exact = (OnnxRuntime().open(onnx_models.artifact(path), {}).run(batch)["embedding"] for path in (target, export.path))
    np.testing.assert_allclose(made, exact, atol=1e-5)


def test_something_must_be_fused() -> None:
    with pytest.raises(ValueError, match="fusions must name at least one"):
        FuseTransformer(fusions=())
